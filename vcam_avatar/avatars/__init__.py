"""Pictures become avatars; the avatar folder format."""
