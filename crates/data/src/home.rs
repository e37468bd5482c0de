//! Where fetched data sets and default runs live.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The folder that `SENSORIUM_HOME` names, or the working folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home(PathBuf);

impl Home {
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// Reads `SENSORIUM_HOME`; unset or empty means the working folder.
    pub fn from_environment() -> Self {
        Self::from_variable(std::env::var_os("SENSORIUM_HOME"))
    }

    fn from_variable(value: Option<OsString>) -> Self {
        let named = value.filter(|value| !value.is_empty());
        Self(named.map_or_else(|| PathBuf::from("."), PathBuf::from))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// `<home>/data`: one folder per fetched data set.
    pub fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    /// `<home>/weights`: one folder per fetched checkpoint.
    pub fn weights(&self) -> PathBuf {
        self.0.join("weights")
    }

    /// `<home>/runs`: one folder per run that was not given a folder of its own.
    pub fn runs(&self) -> PathBuf {
        self.0.join("runs")
    }

    /// `<home>/cache/features`: prepared media, which any run may use.
    pub fn features(&self) -> PathBuf {
        self.0.join("cache").join("features")
    }

    /// `<home>/data/NAME`: where the catalogue puts a set.
    pub fn data_set(&self, name: &str) -> PathBuf {
        self.data().join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: Option<&str>, expected: &str) {
        let home = Home::from_variable(value.map(OsString::from));
        assert_eq!(home.data_set("motion"), Path::new(expected));
    }

    #[test]
    fn an_empty_variable_reads_as_unset() {
        check(None, "./data/motion");
        check(Some(""), "./data/motion");
        check(Some("/big/disk"), "/big/disk/data/motion");
    }
}
