use std::io;

/// What is wrong with a checkpoint; the sentence's subject is the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointProblem {
    /// A file of the checkpoint that is not there or not readable.
    #[error("checkpoint file `{file}` cannot be read: {cause}")]
    Io {
        /// Its name.
        file: String,
        /// Reason.
        cause: io::Error,
    },
    /// A file that is damaged or cut off.
    #[error("checkpoint file `{file}` is damaged: {what}")]
    Damaged {
        /// Its name.
        file: String,
        /// What was met, and where.
        what: String,
    },
    /// A form of checkpoint that is not read.
    #[error("checkpoint file `{file}`: {what} is not supported")]
    Unsupported {
        /// Its name.
        file: String,
        /// The form.
        what: String,
    },
    /// A variable that the checkpoint lacks.
    #[error("checkpoint `{file}` has no variable `{name}`{near}")]
    Missing {
        /// Prefix of the checkpoint.
        file: String,
        /// The name.
        name: String,
        /// Names like it.
        near: String,
    },
    /// A variable that cannot be read.
    #[error("checkpoint variable `{name}`: {what}")]
    Variable {
        /// Its name.
        name: String,
        /// What is wrong with it.
        what: String,
    },
}
