-- Clicks in monthly partitions, as messages are: what is there becomes the default partition, without being read.
-- postgresql
ALTER TABLE click RENAME TO click_default;
ALTER INDEX click_message RENAME TO click_default_message;
ALTER INDEX click_age RENAME TO click_default_age;
CREATE TABLE click (LIKE click_default INCLUDING ALL EXCLUDING INDEXES) PARTITION BY RANGE (at);
CREATE INDEX click_message ON click (controller_id, message_id, at);
CREATE INDEX click_age ON click (at);
ALTER TABLE click ATTACH PARTITION click_default DEFAULT;
-- both
