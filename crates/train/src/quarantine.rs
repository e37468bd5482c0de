//! The account of rows that could not be read, held against the failure budget.

use crate::error::{Result, TrainError};
use sensorium_data::DataError;
use sensorium_data::check::{Quarantined, write_quarantine};
use std::collections::BTreeMap;
use std::path::Path;

/// Every unreadable row once, by its number.
pub struct Quarantine {
    rows: BTreeMap<usize, DataError>,
    /// Rows of the manifest, bad ones included.
    total: usize,
    budget: f64,
}

impl Quarantine {
    pub fn new(total: usize, budget: f64) -> Self {
        Self {
            rows: BTreeMap::new(),
            total,
            budget,
        }
    }

    /// Adds rows; an error once there are more than the budget allows.
    pub fn add(&mut self, errors: impl IntoIterator<Item = DataError>) -> Result<()> {
        for error in errors {
            if let Some(row) = error.row {
                self.rows.entry(row).or_insert(error);
            }
        }
        let allowed = (self.budget * self.total as f64).floor() as usize;
        match self.rows.first_key_value() {
            Some((_, first)) if self.rows.len() > allowed => {
                let (found, total) = (self.rows.len(), self.total);
                Err(TrainError::Budget(format!(
                    "{found} of {total} rows cannot be read, and the failure budget allows {allowed}; the first:\n  \
                     {first}\nsee quarantine.jsonl for all of them; mend them or raise data.failure_budget"
                )))
            }
            _ => Ok(()),
        }
    }

    /// How many rows.
    pub fn count(&self) -> usize {
        self.rows.len()
    }

    /// One JSON object a line, in the order of the rows; an empty account leaves an empty file.
    pub fn write(&self, path: &Path) -> Result<()> {
        let rows: Vec<Quarantined> = self.rows.values().filter_map(Quarantined::of).collect();
        Ok(write_quarantine(path, &rows)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sensorium_data::ErrorKind;

    #[test]
    fn a_row_counts_once_and_the_budget_holds() {
        let bad = |row| DataError::new(ErrorKind::Damaged, "cut").at_row(row);
        let mut quarantine = Quarantine::new(100, 0.02);
        quarantine.add([bad(3), bad(7), bad(3)]).unwrap();
        assert_eq!(quarantine.rows.len(), 2);
        let error = quarantine.add([bad(8)]).unwrap_err().to_string();
        assert!(error.contains("3 of 100 rows") && error.contains("allows 2"), "{error}");
    }
}
