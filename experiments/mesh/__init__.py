"""One step of LightGCN on several devices, in bytes; and trainings on them beside one of one device."""
