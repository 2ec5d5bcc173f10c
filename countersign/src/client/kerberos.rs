//! kinit with PKINIT: the key is handed over in memory.
