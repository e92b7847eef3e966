//! Names of variants, each written once.

/// Gives an enum `ALL`, its variants, and `name`, each one's name in TOML. With `pairs` in front `ALL` has the names, too.
macro_rules! named {
    ($(#[$of_all:meta])* $type:ident { $($variant:ident = $name:literal),+ $(,)? }) => {
        impl $type {
            $(#[$of_all])*
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];
        }

        named!(names $type { $($variant = $name),+ });
    };
    (pairs $(#[$of_all:meta])* $type:ident { $($variant:ident = $name:literal),+ $(,)? }) => {
        impl $type {
            $(#[$of_all])*
            pub const ALL: [(&'static str, Self); [$($name),+].len()] = [$(($name, Self::$variant)),+];
        }

        named!(names $type { $($variant = $name),+ });
    };
    (names $type:ident { $($variant:ident = $name:literal),+ }) => {
        impl $type {
            /// Its name in TOML.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }
        }
    };
}

pub(crate) use named;
