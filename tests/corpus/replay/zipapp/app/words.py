WORDS = ["wolf", "bear", "lynx"]
