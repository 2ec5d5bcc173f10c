//! Codes and attribute numbers; unknown ones survive.
