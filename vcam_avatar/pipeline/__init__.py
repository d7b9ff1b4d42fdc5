"""The loop over units: body ahead of time, face on time, frames in order."""
