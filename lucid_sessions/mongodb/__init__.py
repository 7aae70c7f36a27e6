"""The database engine for MongoDB: django-mongodb-backend with what our queries need put right.

`ENGINE = "lucid_sessions.mongodb"`. Each correction has a test on a real mongod in tests/mongodb; it goes
when the backend behaves so by itself.

1. query.py     `$sort` comes before `$project`, so that ORDER BY ... LIMIT can use an index.
2. base.py      exact look-ups are sent as {"$eq": value}: a client's dict cannot become an operator.
3. compiler.py  bulk_create(ignore_conflicts=True) works.
4. base.py      a forked child opens connections of its own.
5. failures.py  an unreachable server is an OperationalError that says so, as with every other database.
6. maps.py      a command's start does not look for GDAL, which takes more than a second.
"""
