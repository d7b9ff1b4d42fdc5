"""What Avatar Cam knows of OBS: the script with the hotkeys, and OBS's own files."""
