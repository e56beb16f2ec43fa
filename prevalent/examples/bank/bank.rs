//! Accounts whose money is moved and never made: the classic of what must not be half-done or done twice.

use std::collections::BTreeMap;

use journal::Schema;
use prevalent::rkyv::{Archive, Deserialize, Serialize};
use prevalent::{Moment, Prevalent};

/// An amount of money in cents.
type Cents = u64;

/// All accounts by the name of their holder. A `BTreeMap`, because a `HashMap` has another order on every
/// machine, and would make other archives there.
#[derive(Archive, Serialize, Deserialize, Debug, Default)]
#[rkyv(crate = prevalent::rkyv)]
pub struct Bank {
    accounts: BTreeMap<String, Account>,
}

/// One holder's account.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(crate = prevalent::rkyv)]
pub struct Account {
    /// What the holder owns.
    pub balance: Cents,
    /// Who opened it, as the certificate of the connection said.
    pub opened_by: String,
    /// The number of the last command that moved its money.
    pub last_moved: u64,
}

/// A change.
#[derive(Archive, Serialize, Deserialize, Debug)]
#[rkyv(crate = prevalent::rkyv)]
pub enum Order {
    /// Opens an account, with money in it from the start: one command is never half-done, two may be.
    Open {
        /// Its holder.
        holder: String,
        /// What is brought in at once.
        deposit: Cents,
    },
    /// Brings money in.
    Deposit {
        /// The account's holder.
        holder: String,
        /// How much.
        amount: Cents,
    },
    /// Moves money between accounts: all of it, or nothing.
    Transfer {
        /// Who pays.
        from: String,
        /// Who is paid.
        to: String,
        /// How much.
        amount: Cents,
    },
}

/// Why a change was refused.
#[derive(Archive, Serialize, Deserialize, Debug, PartialEq, Eq)]
#[rkyv(crate = prevalent::rkyv)]
pub enum Refusal {
    /// There is no such account.
    NoAccount {
        /// Whose.
        holder: String,
    },
    /// The account exists already.
    AlreadyOpen,
    /// The account does not hold that much.
    NotCovered {
        /// What it holds.
        balance: Cents,
    },
    /// No account can hold that much.
    TooMuch,
}

impl Bank {
    /// The account of `holder`.
    pub fn account(&self, holder: &str) -> Option<&Account> {
        self.accounts.get(holder)
    }

    /// All the money there is.
    pub fn total(&self) -> u128 {
        self.accounts.values().map(|account| u128::from(account.balance)).sum()
    }

    fn balance(&self, holder: &str) -> Result<Cents, Refusal> {
        let account = self.account(holder).ok_or_else(|| Refusal::NoAccount { holder: holder.to_owned() })?;
        Ok(account.balance)
    }

    fn set_balance(&mut self, holder: &str, balance: Cents, at: &Moment<'_>) {
        let account = self.accounts.get_mut(holder).expect("its balance was read before");
        account.balance = balance;
        account.last_moved = at.index.0;
    }
}

impl Prevalent for Bank {
    type Command = Order;
    /// The new balance of the account; of the payer's for a transfer.
    type Outcome = Cents;
    type Rejection = Refusal;
    /// A holder.
    type Query = String;
    type Answer = Option<Account>;

    const NAME: &'static str = "bank";
    const SCHEMA: Schema = Schema(1);

    /// Checks everything first and changes afterwards: so a rejection leaves no trace.
    fn execute(&mut self, order: Order, at: &Moment<'_>) -> Result<Cents, Refusal> {
        match order {
            Order::Open { holder, deposit } => {
                if self.accounts.contains_key(&holder) {
                    return Err(Refusal::AlreadyOpen);
                }
                let account =
                    Account { balance: deposit, opened_by: at.actor.name.clone(), last_moved: at.index.0 };
                self.accounts.insert(holder, account);
                Ok(deposit)
            }
            Order::Deposit { holder, amount } => {
                let balance = self.balance(&holder)?.checked_add(amount).ok_or(Refusal::TooMuch)?;
                self.set_balance(&holder, balance, at);
                Ok(balance)
            }
            Order::Transfer { from, to, amount } => {
                let payer = self.balance(&from)?;
                let payee = self.balance(&to)?;
                let left = payer.checked_sub(amount).ok_or(Refusal::NotCovered { balance: payer })?;
                if from == to {
                    return Ok(payer);
                }
                let paid = payee.checked_add(amount).ok_or(Refusal::TooMuch)?;
                self.set_balance(&from, left, at);
                self.set_balance(&to, paid, at);
                Ok(left)
            }
        }
    }

    fn answer(&self, holder: &String) -> Option<Account> {
        self.account(holder).cloned()
    }
}
