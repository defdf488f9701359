-- A grant may end by itself: when, beside the standing, so that those whose time has come are found without a walk.
ALTER TABLE standing ADD COLUMN expires_at {int};
CREATE INDEX standing_expiring ON standing (expires_at) WHERE expires_at IS NOT NULL;
