//! The verbs. Only this room prints and knows exit codes.
