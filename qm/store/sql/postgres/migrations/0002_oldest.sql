-- oldest: 1
-- Each migration says which is the oldest schema whose programs work with it too: they may go on while a newer
-- manager migrates, and start again afterwards. NULL: none but its own. See qm/store/postgres/schema.py.
ALTER TABLE qmanager.migrations ADD COLUMN oldest INTEGER CHECK (oldest BETWEEN 1 AND version);
