"""Settings of anchors: who vouches for the log's checkpoints from outside."""

from lucid_sessions.environment import env, number, pairs, whole

# Time-stamp authorities (RFC 3161), as name=url, and the certificates that vouch for them (a PEM file, or
# its text).
LUCID_TIMESTAMP_URLS = pairs("LUCID_TIMESTAMP_URLS")
LUCID_TIMESTAMP_ROOTS = env.str("LUCID_TIMESTAMP_ROOTS", "")
# Witnesses (C2SP tlog-witness), as name=url, and the verifier key of each, as name=key.
LUCID_WITNESS_URLS = pairs("LUCID_WITNESS_URLS")
LUCID_WITNESS_KEYS = pairs("LUCID_WITNESS_KEYS")
# How often authorities and witnesses are asked at most.
LUCID_TIMESTAMP_HOURS = number("LUCID_TIMESTAMP_HOURS", 1.0)
# A chain (EVM): a node's JSON-RPC address, the chain's number, and the private key of the account that pays.
LUCID_EVM_URL = env.str("LUCID_EVM_URL", "").strip()
LUCID_EVM_CHAIN_ID = whole("LUCID_EVM_CHAIN_ID", 1)
LUCID_EVM_KEY = env.str("LUCID_EVM_KEY", "").strip()
# Other accounts whose anchors count: former ones, and where the key is not, the one that pays.
LUCID_EVM_ACCOUNTS: list[str] = env.list("LUCID_EVM_ACCOUNTS", default=[])
# From so many blocks on an anchor is final; how often one is sent at most; the most to pay a unit of gas.
LUCID_EVM_CONFIRMATIONS = whole("LUCID_EVM_CONFIRMATIONS", 64)
LUCID_EVM_HOURS = number("LUCID_EVM_HOURS", 24.0)
LUCID_EVM_MAX_GWEI = number("LUCID_EVM_MAX_GWEI", 100.0)
