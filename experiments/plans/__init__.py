"""Plans for data of a hundred million interactions and of a billion: bytes and seconds, a device and a part."""
