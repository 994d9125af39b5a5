//! Node.js, spoken by a parent that is not Node.
