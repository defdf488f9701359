-- Visits of a network within a minute, told by every process that saw ten of them; kept for an hour or two.
CREATE TABLE visit_rate (
  network_hash {bytes} NOT NULL,
  minute {int} NOT NULL,
  visits {int} NOT NULL,
  PRIMARY KEY (network_hash, minute)
) {by_key};
