CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT NOT NULL, city TEXT);
CREATE INDEX person_city ON person (city);
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
INSERT INTO person SELECT i, 'person ' || i, 'city ' || (i * 7919 % 97) FROM n;
DELETE FROM person WHERE id % 13 = 0;
VACUUM;
