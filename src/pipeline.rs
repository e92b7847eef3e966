//! An experiment becomes a plan: the method of the paper as a DAG of steps.
