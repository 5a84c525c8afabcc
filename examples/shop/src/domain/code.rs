//! [`Code`]: the stable codes of everything that the shop refuses.

use std::fmt;

/// Why the shop refuses something. Programs rely on the text: it never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// The order makes no sense: a field is missing, out of range or contradicts another.
    OrderInvalid,
    /// The order's id belongs to an order with other content.
    OrderIdTaken,
    /// There is no such order.
    OrderNoExist,
    /// The order is in a state that does not allow this any more.
    OrderStatusInvalid,
    /// The order was cancelled while it was being placed.
    OrderCancelled,
    /// The order is being paid, or paid.
    OrderPayStatusIsPay,
    /// There is nothing left to pay for the order.
    OrderNothingToPay,
    /// There is no such payment.
    PayNoExist,
    /// The payment was closed, because it did not come in time.
    PayClosed,
    /// The provider names another amount than the payment's.
    PayAmountInvalid,
    /// What claims to come from the provider is not signed by it.
    PaySignatureInvalid,
    /// There are no such goods.
    GoodsNoExist,
    /// The price that the customer saw is not the price of the goods.
    GoodsPriceInvalid,
    /// Fewer goods are left than were ordered.
    GoodsNumNotEnough,
    /// The shipping fee is not the one that the shop computes.
    OrderShippingFeeInvalid,
    /// The amounts of the order do not add up.
    OrderAmountInvalid,
    /// There is no such coupon.
    CouponNoExist,
    /// The coupon is used, out of its validity, of another value, or not this customer's.
    CouponInvalid,
    /// There is no such user.
    UserNoExist,
    /// A negative amount was to be paid from the balance.
    MoneyPaidLessZero,
    /// More was to be paid from the balance than there is in it, or to pay.
    MoneyPaidInvalid,
    /// There are fewer points than are to be paid with.
    UserScoreNotEnough,
    /// The id belongs to another purchase.
    PurchaseIdTaken,
    /// The purchase was given up before it was decided.
    PurchaseCancelled,
    /// The balance was charged for this order before.
    UserMoneyReduceAlready,
    /// The balance was refunded for this order before.
    UserMoneyRefundAlready,
    /// The goods were reserved for this order before.
    GoodsReserveAlready,
}

impl Code {
    /// As it is stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OrderInvalid => "ORDER_INVALID",
            Self::OrderIdTaken => "ORDER_ID_TAKEN",
            Self::OrderNoExist => "ORDER_NO_EXIST",
            Self::OrderStatusInvalid => "ORDER_STATUS_INVALID",
            Self::OrderCancelled => "ORDER_CANCELLED",
            Self::OrderPayStatusIsPay => "ORDER_PAY_STATUS_IS_PAY",
            Self::OrderNothingToPay => "ORDER_NOTHING_TO_PAY",
            Self::PayNoExist => "PAY_NO_EXIST",
            Self::PayClosed => "PAY_CLOSED",
            Self::PayAmountInvalid => "PAY_AMOUNT_INVALID",
            Self::PaySignatureInvalid => "PAY_SIGNATURE_INVALID",
            Self::GoodsNoExist => "GOODS_NO_EXIST",
            Self::GoodsPriceInvalid => "GOODS_PRICE_INVALID",
            Self::GoodsNumNotEnough => "GOODS_NUM_NOT_ENOUGH",
            Self::OrderShippingFeeInvalid => "ORDER_SHIPPINGFEE_INVALID",
            Self::OrderAmountInvalid => "ORDERAMOUNT_INVALID",
            Self::CouponNoExist => "COUPON_NO_EXIST",
            Self::CouponInvalid => "COUPON_INVALID",
            Self::UserNoExist => "USER_NO_EXIST",
            Self::MoneyPaidLessZero => "MONEY_PAID_LESS_ZERO",
            Self::MoneyPaidInvalid => "MONEY_PAID_INVALID",
            Self::UserScoreNotEnough => "USER_SCORE_NOT_ENOUGH",
            Self::PurchaseIdTaken => "PURCHASE_ID_TAKEN",
            Self::PurchaseCancelled => "PURCHASE_CANCELLED",
            Self::UserMoneyReduceAlready => "USER_MONEY_REDUCE_ALREADY",
            Self::UserMoneyRefundAlready => "USER_MONEY_REFUND_ALREADY",
            Self::GoodsReserveAlready => "GOODS_RESERVE_ALREADY",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<Code> for String {
    fn from(code: Code) -> Self {
        code.as_str().to_owned()
    }
}
