-- What reports need of an order, whichever road told it. version says which telling is newer: 0 is an email's, which
-- tells it once. facts (JSON) is what an ask may depend on where no email of ours names the order.
ALTER TABLE orders ADD COLUMN version {int} NOT NULL DEFAULT 0;
ALTER TABLE orders ADD COLUMN status {text} NOT NULL DEFAULT 'placed';
ALTER TABLE orders ADD COLUMN channel {text} NOT NULL DEFAULT 'web';
ALTER TABLE orders ADD COLUMN purchase_type {text} NOT NULL DEFAULT '';
ALTER TABLE orders ADD COLUMN country {text} NOT NULL DEFAULT '';
ALTER TABLE orders ADD COLUMN refunded_minor {int} NOT NULL DEFAULT 0;
ALTER TABLE orders ADD COLUMN historical {small} NOT NULL DEFAULT 0;
ALTER TABLE orders ADD COLUMN facts {text} NOT NULL DEFAULT '{}';
