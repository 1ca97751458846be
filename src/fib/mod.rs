//! MAC FIB and reclamation.
