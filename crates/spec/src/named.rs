//! Names of variants, each written once.

/// Gives an enum `ALL`, its variants, and `name`, each one's name in files. With `pairs` in front `ALL` has the names, too. A variant
/// that holds something stands there with a value of it, and any value has its name.
#[macro_export]
macro_rules! named {
    ($(#[$of_all:meta])* $type:ident { $($variant:ident = $name:literal),+ $(,)? }) => {
        impl $type {
            $(#[$of_all])*
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];
        }

        $crate::named!(names $type { $($variant = $name),+ });
    };
    (pairs $(#[$of_all:meta])* $type:ident { $($variant:ident $(($value:expr))? = $name:literal),+ $(,)? }) => {
        impl $type {
            $(#[$of_all])*
            pub const ALL: [(&'static str, Self); [$($name),+].len()] = [$(($name, Self::$variant $(($value))?)),+];
        }

        $crate::named!(names $type { $($variant $(($value))? = $name),+ });
    };
    (names $type:ident { $($variant:ident $(($value:expr))? = $name:literal),+ }) => {
        impl $type {
            /// Its name in files.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant $(($crate::named!(any $value)))? => $name),+
                }
            }
        }
    };
    (any $value:expr) => { _ };
}
