-- What came of an exposure when it was last counted: lags in days, as core/outcome.py packs them; NULL while it waits.
ALTER TABLE exposure ADD COLUMN counted {text};

-- What the counted exposures add up to, each once under "all" and once under each dimension that is known of it.
CREATE TABLE tally (
  controller_id {id} NOT NULL,
  experiment_id {id} NOT NULL,
  shop_id {id} NOT NULL,
  dimension {text} NOT NULL,
  value {text} NOT NULL,
  weights_version {int} NOT NULL,
  arm {int} NOT NULL,
  day {int} NOT NULL,
  lag {int} NOT NULL,
  exposed {int} NOT NULL,
  converted {int} NOT NULL,
  withdrawn {int} NOT NULL,
  objected {int} NOT NULL,
  not_me {int} NOT NULL,
  PRIMARY KEY (controller_id, experiment_id, shop_id, dimension, value, weights_version, arm, day, lag)
) {by_key};

-- How many of a company's sealed entries the tallies know.
CREATE TABLE tally_cursor (
  controller_id {id} PRIMARY KEY,
  leaf_index {int} NOT NULL
) {strict};

-- Visits of links by arm and verdict. Clicks are pruned, so this is kept as they are written, and never made anew.
CREATE TABLE click_tally (
  controller_id {id} NOT NULL,
  experiment_id {id} NOT NULL,
  arm {int} NOT NULL,
  verdict {text} NOT NULL,
  clicks {int} NOT NULL,
  PRIMARY KEY (controller_id, experiment_id, arm, verdict)
) {by_key};

-- tallied counts the changes of an experiment's tallies, computed is the count that the content was computed from.
CREATE TABLE results (
  controller_id {id} NOT NULL,
  experiment_id {id} NOT NULL,
  tallied {int} NOT NULL,
  computed {int} NOT NULL,
  computed_at {int} NOT NULL,
  content {text} NOT NULL,
  PRIMARY KEY (controller_id, experiment_id)
) {strict};
