"""Key backups in a vault of their own, which may serve two places of one installation, and no other one."""

from pathlib import Path

from tests.operations.backup.site import POPULATE, Site


def test_a_vault_keeps_its_newest_keys_when_the_backups_move_to_another_place(
    site: Site, tmp_path: Path
) -> None:
    old, new, vault = tmp_path / "old", tmp_path / "new", tmp_path / "vault"
    for _ in range(2):
        site.manage("backup", old, "--keys", vault)
    site.python(POPULATE + "record('after')")
    site.manage("backup", new, "--keys", vault, "--keys-days", "0")
    assert _names(vault) == _names(new / "snapshots")
    assert _names(vault)[0].startswith("000003-")
    site.lose()
    said = site.manage("restore", new, "--keys", vault, "--verify")
    assert said.out.count("intact, complete") == 4
    site.manage("backup", old, "--keys", vault)
    assert _names(old / "snapshots")[-1].startswith("000004-")


def test_a_vault_of_another_installation_or_backup_key_is_refused_before_anything_is_written(
    site: Site, tmp_path: Path
) -> None:
    vault, other = tmp_path / "vault", Site(tmp_path / "other")
    site.manage("backup", tmp_path / "backups", "--keys", vault)
    # One that is damaged is ours all the same.
    manifest = next(vault.glob("*.json"))
    manifest.write_bytes(manifest.read_bytes().replace(b"repository", b"repositorx"))
    site.manage("backup", tmp_path / "backups", "--keys", vault, "--keys-days", "0")
    before = {path: path.read_bytes() for path in vault.iterdir()}
    other.manage("prepare")
    said = other.manage("backup", tmp_path / "theirs", "--keys", vault, expect=2)
    assert "key backups of another installation" in said.err
    (site.home / "keys" / "private" / "backup.key").unlink()
    again = site.manage("backup", tmp_path / "again", "--keys", vault, expect=2)
    assert "signed with another backup key" in again.err
    assert said.err.count("\n") == again.err.count("\n") == 1
    assert {path: path.read_bytes() for path in vault.iterdir()} == before
    assert not (tmp_path / "theirs").exists()
    assert not (tmp_path / "again").exists()
    other.remove_database()


def test_keys_beside_the_backups_go_by_the_same_limit_once_they_are_kept_elsewhere(
    site: Site, tmp_path: Path
) -> None:
    shelf, vault = tmp_path / "backups", tmp_path / "vault"
    site.manage("backup", shelf)
    site.manage("backup", shelf, "--keys", vault)
    assert len(_names(shelf / "keys")) == 1, "it is not a week old yet"
    site.manage("backup", shelf, "--keys", vault, "--keys-days", "0")
    assert _names(shelf / "keys") == []
    assert len(_names(vault)) == 1


def _names(folder: Path) -> list[str]:
    return sorted({path.name.partition(".")[0] for path in folder.iterdir()})
