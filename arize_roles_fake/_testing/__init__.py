"""What a test steers and sees."""
