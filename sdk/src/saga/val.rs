//! [`Val`]: a typed reference to data that exists only when the saga runs,
//! or a plain value, or a mixture.

use std::any::Any;
use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::Serialize;
use serde_json::Value;

use super::expr::{Expr, Segment};

/// Stands for a `T` that a step will be sent: the saga's input, a step's
/// output, a field of either, or a plain value.
///
/// For a struct with `#[derive(amends::Wire)]` the fields are there as well:
/// with `input: Val<PlaceOrder>`, `input.goods` is a `Val<String>`.
pub struct Val<T> {
    expr: Expr,
    fields: OnceCell<Box<dyn Any>>,
    value: PhantomData<fn() -> T>,
}

/// A struct whose fields can be referred to one by one; derive it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no typed fields",
    label = "no typed fields",
    note = "add `#[derive(amends::Wire)]` to `{Self}`, or pass a plain value in parentheses"
)]
pub trait Wire: Sized + 'static {
    /// A struct with a [`Val`] for every field.
    type Fields: Clone + 'static;

    /// References to the fields of `value`.
    fn refer(value: &Val<Self>) -> Self::Fields;

    /// The value that has these fields.
    fn build(fields: Self::Fields) -> Val<Self>;
}

/// What can stand where a `T` is needed: a `Val<T>`, the handle of a step
/// that answers a `T`, or a plain `T`; for an optional `T` each of them
/// without `Some`, for a `String` a `&str`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot stand for `{T}`",
    label = "expected `{T}` or a reference to one"
)]
pub trait ToVal<T> {
    /// The typed value.
    fn to_val(&self) -> Val<T>;
}

impl<T> Val<T> {
    pub(crate) fn new(expr: Expr) -> Self {
        Self {
            expr,
            fields: OnceCell::new(),
            value: PhantomData,
        }
    }

    pub(crate) fn expr(&self) -> &Expr {
        &self.expr
    }

    /// A plain value. A value that has no JSON form is reported with the definition.
    pub fn lit(value: &(impl Serialize + ?Sized)) -> Self {
        Self::new(match serde_json::to_value(value) {
            Ok(value) => Expr::Value(value),
            Err(error) => Expr::Invalid(format!("a literal has no JSON form: {error}")),
        })
    }

    /// A field by its name on the wire; `U` is not checked.
    #[must_use]
    pub fn field<U>(&self, name: &str) -> Val<U> {
        Val::new(self.expr.part(Segment::Key(name.to_owned())))
    }

    /// The same data read as another type; not checked. For numbers of
    /// another width, for example.
    #[must_use]
    pub fn cast<U>(&self) -> Val<U> {
        Val::new(self.expr.clone())
    }

    /// The same data without its type.
    #[must_use]
    pub fn untyped(&self) -> Val<Value> {
        self.cast()
    }

    /// An object from fields; that they make up a `T` is not checked.
    /// `wire!` is the checked way.
    pub fn object<'a>(fields: impl IntoIterator<Item = (&'a str, Val<Value>)>) -> Self {
        let fields = fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.expr));
        Self::new(Expr::Object(fields.collect()))
    }
}

impl<T> Val<Vec<T>> {
    /// A list of values.
    pub fn list(items: impl IntoIterator<Item = Val<T>>) -> Self {
        Self::new(Expr::List(
            items.into_iter().map(|item| item.expr).collect(),
        ))
    }

    /// One element. A step that refers to an element that is not there when
    /// the saga runs cannot be called, and the saga turns back.
    #[must_use]
    pub fn at(&self, index: usize) -> Val<T> {
        Val::new(self.expr.part(Segment::Index(index)))
    }
}

impl<T> Val<BTreeMap<String, T>> {
    /// The entry of this key.
    #[must_use]
    pub fn key(&self, key: &str) -> Val<T> {
        self.field(key)
    }
}

impl<T, S> Val<HashMap<String, T, S>> {
    /// The entry of this key.
    #[must_use]
    pub fn key(&self, key: &str) -> Val<T> {
        self.field(key)
    }
}

impl<T: Wire> Val<T> {
    /// The references to its fields. `value.field` does the same by itself.
    #[must_use]
    pub fn fields(&self) -> &T::Fields {
        let fields = self.fields.get_or_init(|| Box::new(T::refer(self)));
        match fields.downcast_ref() {
            Some(fields) => fields,
            // The cell is filled in the line above, and nowhere else.
            None => unreachable!("the fields of a Val have the type of its Wire"),
        }
    }
}

impl<T: Wire> Deref for Val<T> {
    type Target = T::Fields;

    fn deref(&self) -> &T::Fields {
        self.fields()
    }
}

impl<T> Clone for Val<T> {
    fn clone(&self) -> Self {
        Self::new(self.expr.clone())
    }
}

impl<T> fmt::Debug for Val<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.expr.render() {
            Ok(value) => write!(f, "Val({value})"),
            Err(why) => write!(f, "Val(invalid: {why})"),
        }
    }
}

#[diagnostic::do_not_recommend]
impl<T> ToVal<T> for Val<T> {
    fn to_val(&self) -> Val<T> {
        self.clone()
    }
}

#[diagnostic::do_not_recommend]
impl<T> ToVal<T> for &Val<T> {
    fn to_val(&self) -> Val<T> {
        (*self).clone()
    }
}

#[diagnostic::do_not_recommend]
impl<T> ToVal<Option<T>> for Val<T> {
    fn to_val(&self) -> Val<Option<T>> {
        self.cast()
    }
}

#[diagnostic::do_not_recommend]
impl<T> ToVal<Option<T>> for &Val<T> {
    fn to_val(&self) -> Val<Option<T>> {
        self.cast()
    }
}

#[diagnostic::do_not_recommend]
impl<T: Serialize> ToVal<T> for T {
    fn to_val(&self) -> Val<T> {
        Val::lit(self)
    }
}

#[diagnostic::do_not_recommend]
impl<T: Serialize> ToVal<Option<T>> for T {
    fn to_val(&self) -> Val<Option<T>> {
        Val::lit(self)
    }
}

#[diagnostic::do_not_recommend]
impl ToVal<String> for &str {
    fn to_val(&self) -> Val<String> {
        Val::lit(self)
    }
}

#[diagnostic::do_not_recommend]
impl ToVal<Option<String>> for &str {
    fn to_val(&self) -> Val<Option<String>> {
        Val::lit(self)
    }
}
