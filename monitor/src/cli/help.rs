//! What stands below the options in a command's help.

/// The examples of a command, and how all of them end.
macro_rules! help {
    ($examples:literal) => {
        concat!(
            "Examples:\n",
            $examples,
            "\n\nExit codes: 0 done, 1 the monitor knows no such thing or refuses, 2 the command line or the configuration is\n\
             wrong, 3 the monitor cannot be reached, or cannot reach its Redis or its broker."
        )
    };
}

pub(super) use help;
