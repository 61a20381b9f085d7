"""Commands that read what runs have written, or prepare them."""
