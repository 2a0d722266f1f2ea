SELECT id, name FROM customer WHERE id < 5;
SELECT * FROM no_such_table;
SHOW TABLES;
use otherdb
SELECT * FROM notes;
use appdb
UPDATE counters SET n = n + 1 WHERE name = 'b';
CALL two_sets(4);
INSERT INTO blobs (tag, body) VALUES ('cli', REPEAT('y', 100000));
SELECT LENGTH(body) FROM blobs WHERE tag = 'cli';
SELECT 'a''b', "c\"d", 0x41, -1.5e3;
