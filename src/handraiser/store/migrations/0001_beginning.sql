-- Times are milliseconds UTC, flags 0 or 1, JSON is text, ids are 16 bytes; controller_id leads every key.

CREATE TABLE controller (
  controller_id {id} PRIMARY KEY,
  slug {text} NOT NULL UNIQUE,
  name {text} NOT NULL,
  settings {text} NOT NULL
) {strict};

CREATE TABLE shop (
  controller_id {id} NOT NULL REFERENCES controller (controller_id),
  shop_id {id} NOT NULL,
  number {int} NOT NULL UNIQUE,
  slug {text} NOT NULL UNIQUE,
  name {text} NOT NULL,
  mode {text} NOT NULL CHECK (mode IN ('off', 'observe', 'on')),
  settings {text} NOT NULL,
  PRIMARY KEY (controller_id, shop_id)
) {strict};

-- An operator's key has neither a company nor a shop. A key is found before its company is known.
CREATE TABLE api_key (
  key_id {text} PRIMARY KEY,
  secret_hash {bytes} NOT NULL,
  controller_id {id},
  shop_id {id},
  name {text} NOT NULL,
  scopes {text} NOT NULL,
  test {small} NOT NULL,
  created_at {int} NOT NULL,
  revoked_at {int},
  last_used_at {int}
) {strict};

-- lookup and address are emptied at erasure; the id stays, so that the ledger goes on meaning one subject.
CREATE TABLE subject (
  controller_id {id} NOT NULL,
  subject_id {id} NOT NULL,
  lookup {bytes},
  pepper_id {small} NOT NULL,
  address {text},
  created_at {int} NOT NULL,
  erased_at {int},
  PRIMARY KEY (controller_id, subject_id)
) {by_key};
CREATE UNIQUE INDEX subject_lookup ON subject (controller_id, lookup);

CREATE TABLE subject_state (
  controller_id {id} NOT NULL,
  subject_id {id} NOT NULL,
  version {int} NOT NULL,
  first_seen {int} NOT NULL,
  orders_seen {int} NOT NULL,
  asks {text} NOT NULL,
  PRIMARY KEY (controller_id, subject_id)
) {by_key};

CREATE TABLE customer (
  controller_id {id} NOT NULL,
  shop_id {id} NOT NULL,
  external_id {text} NOT NULL,
  subject_id {id} NOT NULL,
  since {int} NOT NULL,
  PRIMARY KEY (controller_id, shop_id, external_id)
) {by_key};

CREATE TABLE customer_history (
  controller_id {id} NOT NULL,
  shop_id {id} NOT NULL,
  external_id {text} NOT NULL,
  subject_id {id} NOT NULL,
  since {int} NOT NULL,
  PRIMARY KEY (controller_id, shop_id, external_id, subject_id)
) {by_key};
CREATE INDEX customer_history_subject ON customer_history (controller_id, subject_id);

-- The projection of the ledger: rebuildable, never the proof.
CREATE TABLE standing (
  controller_id {id} NOT NULL,
  subject_id {id} NOT NULL,
  purpose {text} NOT NULL,
  channel {text} NOT NULL,
  state {text} NOT NULL,
  since {int} NOT NULL,
  event_id {id} NOT NULL,
  message_at {int},
  PRIMARY KEY (controller_id, subject_id, purpose, channel)
) {by_key};

CREATE INDEX standing_waiting ON standing (since) WHERE state = 'pending';

CREATE TABLE suppression (
  controller_id {id} NOT NULL,
  lookup {bytes} NOT NULL,
  scope {text} NOT NULL,
  since {int} NOT NULL,
  reason {text} NOT NULL,
  PRIMARY KEY (controller_id, lookup, scope)
) {by_key};

CREATE TABLE consent_entry (
-- sqlite
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
-- postgresql
  seq bigint GENERATED ALWAYS AS IDENTITY,
-- both
  event_id {id} NOT NULL,
  controller_id {id} NOT NULL,
  subject_id {id} NOT NULL,
  purpose {text} NOT NULL,
  topic {text} NOT NULL,
  channel {text} NOT NULL,
  event {text} NOT NULL,
  basis {text} NOT NULL,
  jurisdiction {text} NOT NULL,
  rule_version {text} NOT NULL,
  policy_snapshot_id {bytes},
  touchpoint {text} NOT NULL,
  message_id {id},
  link_kind {small},
  variant {text} NOT NULL,
  wording_id {bytes},
  notice_id {bytes},
  privacy_policy_version {text} NOT NULL,
  method {text} NOT NULL,
  attestation {text} NOT NULL,
  verdict {text} NOT NULL,
  verdict_reasons {text} NOT NULL,
  actor {text} NOT NULL,
  actor_id {text} NOT NULL,
  occurred_at {int} NOT NULL,
  received_at {int} NOT NULL,
  recorded_at {int} NOT NULL,
  source_order_ref {bytes},
  promised_value_id {text} NOT NULL,
  expires_at {int},
  supersedes_seq {int},
  dedup_key {bytes} NOT NULL,
  evidence_commit {bytes},
  schema_version {small} NOT NULL,
  state {text} NOT NULL,
  message_at {int},
  leaf_hash {bytes} NOT NULL,
-- postgresql
  PRIMARY KEY (controller_id, seq),
-- both
  UNIQUE (controller_id, event_id),
  UNIQUE (controller_id, dedup_key)
) {strict};
CREATE INDEX consent_entry_subject ON consent_entry (controller_id, subject_id, seq);

-- One Merkle tree a company: which entry is which leaf, in which batch. The entry's hash stands here once more, so that
-- a changed entry can be named.
CREATE TABLE ledger_leaf (
  controller_id {id} NOT NULL,
  leaf_index {int} NOT NULL,
  seq {int} NOT NULL,
  leaf_hash {bytes} NOT NULL,
  batch_no {int} NOT NULL,
  PRIMARY KEY (controller_id, leaf_index),
  UNIQUE (controller_id, seq)
) {by_key};

-- peaks are the roots of the perfect subtrees: the tree grows on from them.
CREATE TABLE ledger_head (
  controller_id {id} NOT NULL,
  batch_no {int} NOT NULL,
  tree_size {int} NOT NULL,
  root {bytes} NOT NULL,
  sealed_at {int} NOT NULL,
  kid {small} NOT NULL,
  signature {bytes} NOT NULL,
  peaks {bytes} NOT NULL,
  PRIMARY KEY (controller_id, batch_no),
  UNIQUE (controller_id, tree_size)
) {strict};

-- Entries that no batch holds yet; filled by a trigger, so that an answer costs no further round trip.
CREATE TABLE ledger_waiting (
  controller_id {id} NOT NULL,
  seq {int} NOT NULL,
  PRIMARY KEY (controller_id, seq)
) {by_key};

CREATE TABLE evidence (
  controller_id {id} NOT NULL,
  event_id {id} NOT NULL,
  salt {bytes} NOT NULL,
  content {text} NOT NULL,
  created_at {int} NOT NULL,
  PRIMARY KEY (controller_id, event_id)
) {strict};

-- How far a file was imported, moved in the commit that holds its rows; faults are those of the last one.
CREATE TABLE import_run (
  controller_id {id} NOT NULL,
  import_id {bytes} NOT NULL,
  bytes_done {int} NOT NULL,
  rows_done {int} NOT NULL,
  applied {int} NOT NULL,
  unchanged {int} NOT NULL,
  blank {int} NOT NULL,
  refused {int} NOT NULL,
  faults {text} NOT NULL,
  started_at {int} NOT NULL,
  updated_at {int} NOT NULL,
  PRIMARY KEY (controller_id, import_id)
) {by_key};

CREATE TABLE wording (
  controller_id {id} NOT NULL,
  wording_id {bytes} NOT NULL,
  language {text} NOT NULL,
  content {text} NOT NULL,
  created_at {int} NOT NULL,
  PRIMARY KEY (controller_id, wording_id)
) {strict};

-- The rules of a market as they stood, content-addressed like wordings.
CREATE TABLE policy_snapshot (
  controller_id {id} NOT NULL,
  policy_snapshot_id {bytes} NOT NULL,
  content {text} NOT NULL,
  created_at {int} NOT NULL,
  PRIMARY KEY (controller_id, policy_snapshot_id)
) {strict};

CREATE TABLE purpose (
  controller_id {id} NOT NULL,
  slug {text} NOT NULL,
  version {int} NOT NULL,
  content {text} NOT NULL,
  live {small} NOT NULL,
  created_at {int} NOT NULL,
  created_by {text} NOT NULL,
  PRIMARY KEY (controller_id, slug, version)
) {strict};
CREATE UNIQUE INDEX purpose_live ON purpose (controller_id, slug) WHERE live = 1;

CREATE TABLE block (
  controller_id {id} NOT NULL,
  block_id {id} NOT NULL,
  slug {text} NOT NULL,
  live_version {int},
  PRIMARY KEY (controller_id, block_id),
  UNIQUE (controller_id, slug)
) {strict};

CREATE TABLE block_version (
  controller_id {id} NOT NULL,
  block_id {id} NOT NULL,
  version {int} NOT NULL,
  content {text} NOT NULL,
  hash {bytes} NOT NULL,
  legal_class {text} NOT NULL CHECK (legal_class IN ('service', 'ask', 'advertising', 'feedback')),
  created_at {int} NOT NULL,
  created_by {text} NOT NULL,
  PRIMARY KEY (controller_id, block_id, version)
) {strict};

-- Content-addressed: the same source gives the same program for every company.
CREATE TABLE compiled (
  hash {bytes} PRIMARY KEY,
  program {text} NOT NULL,
  created_at {int} NOT NULL
) {strict};

CREATE TABLE catalogue (
  controller_id {id} PRIMARY KEY,
  revision {int} NOT NULL
) {strict};

CREATE TABLE message (
  controller_id {id} NOT NULL,
  message_id {id} NOT NULL,
  shop_id {id} NOT NULL,
  subject_id {id} NOT NULL,
  type {text} NOT NULL,
  touchpoint {text} NOT NULL,
  locale {text} NOT NULL,
  country {text} NOT NULL,
  market {text} NOT NULL,
  rule_version {text} NOT NULL,
  customer_kind {text} NOT NULL,
  order_id {text} NOT NULL,
  external_id {text} NOT NULL,
  test {small} NOT NULL,
  sent_at {int} NOT NULL,
  decision {text} NOT NULL,
  request {text} NOT NULL,
  PRIMARY KEY (controller_id, message_id)
-- sqlite
) {strict};
-- postgresql
) PARTITION BY RANGE (message_id);
CREATE TABLE message_default PARTITION OF message DEFAULT;
-- both
CREATE INDEX message_shop ON message (controller_id, shop_id, message_id);
CREATE INDEX message_order ON message (controller_id, shop_id, order_id);
CREATE INDEX message_subject ON message (controller_id, subject_id);

CREATE TABLE idempotency (
  controller_id {id} NOT NULL,
  shop_id {id} NOT NULL,
  key {text} NOT NULL,
  request_hash {bytes} NOT NULL,
  message_id {id} NOT NULL,
  created_at {int} NOT NULL,
  PRIMARY KEY (controller_id, shop_id, key)
) {by_key};
CREATE INDEX idempotency_age ON idempotency (created_at);

CREATE TABLE orders (
  controller_id {id} NOT NULL,
  shop_id {id} NOT NULL,
  order_id {text} NOT NULL,
  subject_id {id} NOT NULL,
  placed_at {int} NOT NULL,
  value_minor {int},
  currency {text} NOT NULL,
  kind {text} NOT NULL,
  first_message_at {int} NOT NULL,
  PRIMARY KEY (controller_id, shop_id, order_id)
) {by_key};
CREATE INDEX orders_subject ON orders (controller_id, subject_id);

CREATE TABLE click (
  controller_id {id} NOT NULL,
  message_id {id} NOT NULL,
  at {int} NOT NULL,
  kind {small} NOT NULL,
  method {text} NOT NULL,
  verdict {text} NOT NULL,
  reasons {text} NOT NULL,
  network_hash {bytes}
) {strict};
CREATE INDEX click_message ON click (controller_id, message_id, at);
CREATE INDEX click_age ON click (at);

CREATE TABLE outbox (
  controller_id {id} NOT NULL,
  outbox_id {id} NOT NULL,
  event {text} NOT NULL,
  subject_id {id},
  payload {text} NOT NULL,
  carrier {text} NOT NULL,
  created_at {int} NOT NULL,
  due_at {int} NOT NULL,
  attempts {int} NOT NULL,
  done_at {int},
  -- What became of it: '' while it waits, else sent, refused, overtaken or given_up; reason is a code, never a text.
  outcome {text} NOT NULL DEFAULT '',
  reason {text} NOT NULL DEFAULT '',
  PRIMARY KEY (controller_id, outbox_id)
) {strict};
CREATE INDEX outbox_due ON outbox (due_at) WHERE done_at IS NULL;
CREATE INDEX outbox_event ON outbox (controller_id, event, created_at);

CREATE TABLE lease (
  name {text} PRIMARY KEY,
  holder {text} NOT NULL,
  until {int} NOT NULL
) {strict};

-- What has been said and shown can be added to, never changed.
-- sqlite
CREATE TRIGGER consent_entry_update BEFORE UPDATE ON consent_entry
BEGIN SELECT RAISE(ABORT, 'consent_entry only grows'); END;
CREATE TRIGGER consent_entry_delete BEFORE DELETE ON consent_entry
BEGIN SELECT RAISE(ABORT, 'consent_entry only grows'); END;
-- INSERT OR REPLACE deletes without a DELETE trigger where recursive_triggers is off, as in most other tools.
-- One EXISTS for each key: an OR inside one would look through all of the company's rows.
CREATE TRIGGER consent_entry_replace BEFORE INSERT ON consent_entry
WHEN EXISTS (SELECT 1 FROM consent_entry WHERE seq = NEW.seq)
  OR EXISTS (SELECT 1 FROM consent_entry WHERE controller_id = NEW.controller_id AND event_id = NEW.event_id)
  OR EXISTS (SELECT 1 FROM consent_entry WHERE controller_id = NEW.controller_id AND dedup_key = NEW.dedup_key)
BEGIN SELECT RAISE(ABORT, 'consent_entry only grows'); END;
CREATE TRIGGER consent_entry_waits AFTER INSERT ON consent_entry
BEGIN INSERT INTO ledger_waiting (controller_id, seq) VALUES (NEW.controller_id, NEW.seq); END;
CREATE TRIGGER ledger_leaf_update BEFORE UPDATE ON ledger_leaf
BEGIN SELECT RAISE(ABORT, 'ledger_leaf only grows'); END;
CREATE TRIGGER ledger_leaf_delete BEFORE DELETE ON ledger_leaf
BEGIN SELECT RAISE(ABORT, 'ledger_leaf only grows'); END;
CREATE TRIGGER ledger_leaf_replace BEFORE INSERT ON ledger_leaf
WHEN EXISTS (SELECT 1 FROM ledger_leaf WHERE controller_id = NEW.controller_id AND leaf_index = NEW.leaf_index)
  OR EXISTS (SELECT 1 FROM ledger_leaf WHERE controller_id = NEW.controller_id AND seq = NEW.seq)
BEGIN SELECT RAISE(ABORT, 'ledger_leaf only grows'); END;
CREATE TRIGGER ledger_head_update BEFORE UPDATE ON ledger_head
BEGIN SELECT RAISE(ABORT, 'ledger_head only grows'); END;
CREATE TRIGGER ledger_head_delete BEFORE DELETE ON ledger_head
BEGIN SELECT RAISE(ABORT, 'ledger_head only grows'); END;
CREATE TRIGGER ledger_head_replace BEFORE INSERT ON ledger_head
WHEN EXISTS (SELECT 1 FROM ledger_head WHERE controller_id = NEW.controller_id AND batch_no = NEW.batch_no)
  OR EXISTS (SELECT 1 FROM ledger_head WHERE controller_id = NEW.controller_id AND tree_size = NEW.tree_size)
BEGIN SELECT RAISE(ABORT, 'ledger_head only grows'); END;
CREATE TRIGGER wording_update BEFORE UPDATE ON wording
BEGIN SELECT RAISE(ABORT, 'wording only grows'); END;
CREATE TRIGGER wording_delete BEFORE DELETE ON wording
BEGIN SELECT RAISE(ABORT, 'wording only grows'); END;
CREATE TRIGGER wording_replace BEFORE INSERT ON wording
WHEN EXISTS (SELECT 1 FROM wording WHERE controller_id = NEW.controller_id AND wording_id = NEW.wording_id)
BEGIN SELECT RAISE(ABORT, 'wording only grows'); END;
CREATE TRIGGER policy_snapshot_update BEFORE UPDATE ON policy_snapshot
BEGIN SELECT RAISE(ABORT, 'policy_snapshot only grows'); END;
CREATE TRIGGER policy_snapshot_delete BEFORE DELETE ON policy_snapshot
BEGIN SELECT RAISE(ABORT, 'policy_snapshot only grows'); END;
CREATE TRIGGER policy_snapshot_replace BEFORE INSERT ON policy_snapshot
WHEN EXISTS (
  SELECT 1 FROM policy_snapshot
  WHERE controller_id = NEW.controller_id AND policy_snapshot_id = NEW.policy_snapshot_id)
BEGIN SELECT RAISE(ABORT, 'policy_snapshot only grows'); END;
CREATE TRIGGER block_version_update BEFORE UPDATE ON block_version
BEGIN SELECT RAISE(ABORT, 'block_version only grows'); END;
-- postgresql
CREATE FUNCTION only_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION '% only grows', TG_TABLE_NAME; END $$;
CREATE TRIGGER consent_entry_change BEFORE UPDATE OR DELETE OR TRUNCATE ON consent_entry
  FOR EACH STATEMENT EXECUTE FUNCTION only_grows();
CREATE FUNCTION entries_wait() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO ledger_waiting (controller_id, seq) SELECT controller_id, seq FROM fresh; RETURN NULL; END $$;
CREATE TRIGGER consent_entry_waits AFTER INSERT ON consent_entry
  REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION entries_wait();
CREATE TRIGGER ledger_leaf_change BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_leaf
  FOR EACH STATEMENT EXECUTE FUNCTION only_grows();
CREATE TRIGGER ledger_head_change BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_head
  FOR EACH STATEMENT EXECUTE FUNCTION only_grows();
CREATE TRIGGER wording_change BEFORE UPDATE OR DELETE OR TRUNCATE ON wording
  FOR EACH STATEMENT EXECUTE FUNCTION only_grows();
CREATE TRIGGER policy_snapshot_change BEFORE UPDATE OR DELETE OR TRUNCATE ON policy_snapshot
  FOR EACH STATEMENT EXECUTE FUNCTION only_grows();
CREATE TRIGGER block_version_change BEFORE UPDATE ON block_version
  FOR EACH STATEMENT EXECUTE FUNCTION only_grows();
-- both
