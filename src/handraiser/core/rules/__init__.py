"""What a shop says about finished mail: which passing mail is what, what to read out of it, where a block may stand."""
