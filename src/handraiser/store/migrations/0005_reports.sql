-- What a customer counts as in the reports, and whether the tallies hold it. content (JSON, see core/kpi.py) keeps what
-- emails told, which are pruned, beside what was last read of entries, orders and exposures, which are not.
CREATE TABLE customer_count (
  controller_id {id} NOT NULL,
  subject_id {id} NOT NULL,
  content {text} NOT NULL,
  counted {small} NOT NULL,
  PRIMARY KEY (controller_id, subject_id)
) {by_key};

-- Of whom something happened that is not counted yet; filled by triggers in the commit of what happened. A job deletes
-- the rows it read in the transaction that counts them. of_message 1: the message of this id is new; 2: it was counted,
-- and its ask was taken back since; 0: anything else.
CREATE TABLE customer_waiting (
  controller_id {id} NOT NULL,
  mark_id {id} NOT NULL,
  subject_id {id} NOT NULL,
  of_message {small} NOT NULL,
  PRIMARY KEY (controller_id, mark_id)
) {by_key};

-- Customers by the day (UTC) of their first ask, else of the first email that could have asked, else of the first one;
-- lag is days from the first ask to the yes.
CREATE TABLE opt_in_tally (
  controller_id {id} NOT NULL,
  shop_id {id} NOT NULL,
  dimension {text} NOT NULL,
  day {int} NOT NULL,
  value {text} NOT NULL,
  customer_kind {text} NOT NULL,
  lag {int} NOT NULL,
  seen {int} NOT NULL,
  eligible {int} NOT NULL,
  asked {int} NOT NULL,
  asks {int} NOT NULL,
  would_have_asked {int} NOT NULL,
  opted_in {int} NOT NULL,
  left_30 {int} NOT NULL,
  left_90 {int} NOT NULL,
  PRIMARY KEY (controller_id, shop_id, dimension, day, value, customer_kind, lag)
) {by_key};

-- What happened on a day: under the company's own id as shop_id customers that became known, came to be consented and
-- ceased to be; under a shop's its purchases and views of its thank-you page.
CREATE TABLE day_tally (
  controller_id {id} NOT NULL,
  shop_id {id} NOT NULL,
  day {int} NOT NULL,
  known {int} NOT NULL,
  gained {int} NOT NULL,
  lost {int} NOT NULL,
  purchases {int} NOT NULL,
  views {int} NOT NULL,
  PRIMARY KEY (controller_id, shop_id, day)
) {by_key};

-- Orders after the first exposure (day), by arm; of the shop's own id as experiment_id: after the first ask, arm 1 those
-- who opted in. Customers and orders stand where both currencies are '', amounts (minor units) where other is '', sums of
-- products of two amounts of one customer, high * 2^32 + low, where both are given.
CREATE TABLE lifetime_tally (
  controller_id {id} NOT NULL,
  shop_id {id} NOT NULL,
  experiment_id {id} NOT NULL,
  weights_version {int} NOT NULL,
  arm {int} NOT NULL,
  day {int} NOT NULL,
  currency {text} NOT NULL,
  other {text} NOT NULL,
  customers {int} NOT NULL,
  orders {int} NOT NULL,
  amount {int} NOT NULL,
  high {int} NOT NULL,
  low {int} NOT NULL,
  PRIMARY KEY (controller_id, shop_id, experiment_id, weights_version, arm, day, currency, other)
) {by_key};

-- A company without a row has never been counted: what was there before this table is marked at its first time.
CREATE TABLE customer_counted (
  controller_id {id} PRIMARY KEY,
  counted_at {int} NOT NULL
) {strict};

-- sqlite
CREATE TRIGGER message_to_count AFTER INSERT ON message WHEN NEW.test = 0
BEGIN INSERT INTO customer_waiting VALUES (NEW.controller_id, NEW.message_id, NEW.subject_id, 1)
  ON CONFLICT (controller_id, mark_id) DO UPDATE SET of_message = 1; END;
CREATE TRIGGER message_taken_back AFTER UPDATE ON message WHEN NEW.test = 0
  AND OLD.decision LIKE '%"legal_class":"ask"%' AND NEW.decision NOT LIKE '%"legal_class":"ask"%'
BEGIN INSERT INTO customer_waiting VALUES (NEW.controller_id, NEW.message_id, NEW.subject_id, 2)
  ON CONFLICT DO NOTHING; END;
CREATE TRIGGER consent_entry_to_count AFTER INSERT ON consent_entry
BEGIN INSERT INTO customer_waiting VALUES (NEW.controller_id, NEW.event_id, NEW.subject_id, 0)
  ON CONFLICT DO NOTHING; END;
-- The order of an email comes with its message, which is waiting already.
CREATE TRIGGER order_to_count AFTER INSERT ON orders WHEN NEW.version > 0 OR NEW.historical = 1
BEGIN INSERT INTO customer_waiting VALUES (NEW.controller_id, randomblob(16), NEW.subject_id, 0); END;
CREATE TRIGGER order_change_to_count AFTER UPDATE ON orders
BEGIN INSERT INTO customer_waiting VALUES (NEW.controller_id, randomblob(16), NEW.subject_id, 0); END;
CREATE TRIGGER exposure_to_count AFTER INSERT ON exposure
BEGIN INSERT INTO customer_waiting VALUES (NEW.controller_id, randomblob(16), NEW.subject_id, 0); END;
-- postgresql
CREATE FUNCTION messages_to_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO customer_waiting
  SELECT controller_id, message_id, subject_id, 1 FROM fresh WHERE test = 0
  ON CONFLICT (controller_id, mark_id) DO UPDATE SET of_message = 1; RETURN NULL; END $$;
-- Waits for whoever counts the message now: it may have read it as it was.
CREATE FUNCTION messages_taken_back() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM customer_waiting w JOIN fresh f
    ON f.controller_id = w.controller_id AND f.message_id = w.mark_id FOR UPDATE OF w;
  INSERT INTO customer_waiting SELECT f.controller_id, f.message_id, f.subject_id, 2 FROM fresh f
    JOIN stale s ON s.controller_id = f.controller_id AND s.message_id = f.message_id
    WHERE f.test = 0 AND s.decision LIKE '%"legal_class":"ask"%' AND f.decision NOT LIKE '%"legal_class":"ask"%'
    ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;
CREATE FUNCTION entries_to_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO customer_waiting
  SELECT controller_id, event_id, subject_id, 0 FROM fresh ON CONFLICT DO NOTHING; RETURN NULL; END $$;
CREATE FUNCTION orders_to_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO customer_waiting
  SELECT controller_id, gen_random_uuid(), subject_id, 0 FROM fresh
  WHERE TG_OP = 'UPDATE' OR version > 0 OR historical = 1; RETURN NULL; END $$;
CREATE FUNCTION exposures_to_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO customer_waiting
  SELECT controller_id, gen_random_uuid(), subject_id, 0 FROM fresh; RETURN NULL; END $$;
CREATE TRIGGER message_to_count AFTER INSERT ON message
  REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION messages_to_count();
CREATE TRIGGER message_taken_back AFTER UPDATE ON message
  REFERENCING OLD TABLE AS stale NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION messages_taken_back();
CREATE TRIGGER consent_entry_to_count AFTER INSERT ON consent_entry
  REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION entries_to_count();
CREATE TRIGGER order_to_count AFTER INSERT ON orders
  REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION orders_to_count();
CREATE TRIGGER order_change_to_count AFTER UPDATE ON orders
  REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION orders_to_count();
CREATE TRIGGER exposure_to_count AFTER INSERT ON exposure
  REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION exposures_to_count();
-- both
