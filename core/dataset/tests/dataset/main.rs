//! Datasets written by the library, read back with the plain Parquet reader.

#[cfg(test)]
mod arranged;
#[cfg(test)]
mod bucket;
#[cfg(test)]
mod checkpoint;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod dispositions;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod files;
#[cfg(test)]
mod layout;
#[cfg(test)]
mod model;
#[cfg(test)]
mod pruning;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod remote;
#[cfg(test)]
mod row_groups;
#[cfg(test)]
mod strategies;
#[cfg(test)]
mod support;
