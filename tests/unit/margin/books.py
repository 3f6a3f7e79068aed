"""A small policy, and builders of accounts and markets in whole dollars and whole units, for tests of margin."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

from chains.types import (
    AccountId,
    Address,
    Amount,
    Assurance,
    ChainId,
    Checkpoint,
    Control,
    Cut,
    Hash32,
    Height,
    TokenFact,
    UnixSeconds,
)
from node.margin import MarginContext, SeizureLeg
from node.margin.policy import Policy
from node.model.digests import ReleaseItem, ReleaseKind
from node.model.frame import FramePrice, PriceStatus
from node.model.header import ChainState, ChainStatus
from node.model.ledger import (
    AccountRecord,
    AccountView,
    Authorization,
    Holdings,
    Obligations,
    Reservation,
    VenueObligation,
)
from node.model.reports import Position

USD = 10**12
"""One dollar in 1e-12 USD."""
NOW = 1_800_000_000
"""State time in unix seconds."""
A, B = ChainId(1), ChainId(2)

ETH_A, USDX_A, OLD_A = (Address(bytes([0xA, n]) + bytes(18)) for n in (1, 2, 3))
ETH_B, BTC_B = (Address(bytes([0xB, n]) + bytes(18)) for n in (1, 2))
DECIMALS = {(A, ETH_A): 18, (A, USDX_A): 6, (A, OLD_A): 18, (B, ETH_B): 18, (B, BTC_B): 8}
VAULTS = {A: Address(b"\xaa" * 20), B: Address(b"\xbb" * 20)}
ALL_ASSETS = ("BTC", "ETH", "OLD", "USDX")

_POLICY = """
schema_version = 1
version = 1

[timing]
max_price_age = 60
max_cut_age = 600
pending_cut_timeout_ms = 5000
attestation_ttl = 300
withdrawal_ttl = 300
policy_timelock = 0

[stale]
base_bps = 100
growth_bps_per_hour = 200
cap_bps = 5000
write_off_after = 86400

[liquidation]
fee_bps = 50
bonus_bps = {bonus}

[[assets]]  # haircuts 20 % and 10 %
id = "ETH"
initial_haircut_bps = 2000
maintenance_haircut_bps = 1000
min_value_micro_usd = {minimum}
min_sources = 2
max_spread_bps = 100

[[assets]]
id = "BTC"
initial_haircut_bps = 1500
maintenance_haircut_bps = 1000
min_value_micro_usd = {minimum}
min_sources = 2
max_spread_bps = 100

[[assets]]
id = "USDX"
initial_haircut_bps = 200
maintenance_haircut_bps = 100
min_value_micro_usd = {minimum}
min_sources = 2
max_spread_bps = 100

[[assets]]
id = "OLD"
initial_haircut_bps = 5000
maintenance_haircut_bps = 4000
min_value_micro_usd = {minimum}
min_sources = 2
max_spread_bps = 100

[[instruments]]
id = "ETH-PERP"
kind = "perpetual"
underlying = "ETH"
initial_bps = 1000
maintenance_bps = 500

[[instruments]]
id = "BTC-PERP"
kind = "perpetual"
underlying = "BTC"
initial_bps = 1000
maintenance_bps = 500

[[instruments]]
id = "OLD-PERP"
kind = "perpetual"
underlying = "OLD"
initial_bps = 5000
maintenance_bps = 2500

[[venues]]
id = "alpha"
signer = "0x{alpha}"

[[venues]]
id = "beta"
signer = "0x{beta}"

[[chains]]
id = 1
kind = "simulated"
vault = "0x{vault_a}"
vault_code_hash = "0x{code}"
verifier = "0x{vault_a}"
from_height = 0
stride = 1
tokens = [
  {{ token = "0x{eth_a}", asset = "ETH", decimals = 18 }},
  {{ token = "0x{usdx_a}", asset = "USDX", decimals = 6 }},
  {{ token = "0x{old_a}", asset = "OLD", decimals = 18 }},
]

[[chains]]
id = 2
kind = "simulated"
vault = "0x{vault_b}"
vault_code_hash = "0x{code}"
verifier = "0x{vault_b}"
from_height = 0
stride = 1
tokens = [
  {{ token = "0x{eth_b}", asset = "ETH", decimals = 18 }},
  {{ token = "0x{btc_b}", asset = "BTC", decimals = 8 }},
]
"""


def policy(*, bonus_bps: int = 500, dust_usd: int = 10) -> Policy:
    """ETH 20/10 %, BTC 15/10 %, USDX 2/1 %, OLD 50/40 % haircuts; perpetuals at 10/5 % (OLD 50/25 %); fee 0.5 %."""
    text = _POLICY.format(
        bonus=bonus_bps,
        minimum=dust_usd * 10**6,
        alpha="01" * 20,
        beta="02" * 20,
        vault_a=VAULTS[A].hex(),
        vault_b=VAULTS[B].hex(),
        code="00" * 32,
        eth_a=ETH_A.hex(),
        usdx_a=USDX_A.hex(),
        old_a=OLD_A.hex(),
        eth_b=ETH_B.hex(),
        btc_b=BTC_B.hex(),
    )
    return Policy.parse(text.encode())


def with_terms(rules: Policy, **terms: int | str) -> Policy:
    """The policy with more terms of liquidation."""
    lines = "".join(f"{name} = {json.dumps(each)}\n" for name, each in terms.items())
    return Policy.parse(rules.body.replace(b"[liquidation]\n", b"[liquidation]\n" + lines.encode(), 1))


DEFAULT_POLICY = policy()

_PROFILE = """[margin]
profile = "hypothec"
{parameters}
[[indices]]
id = "ETH-VOL"
min_sources = 2
max_spread_bps = 1000

[[instruments]]
id = "ETH"
kind = "future"
underlying = "ETH"

[[instruments]]
id = "ETH"
kind = "option"
underlying = "ETH"

[[instruments]]
id = "BTC"
kind = "option"
underlying = "BTC"

[[venues]]
"""


def profile_policy(parameters: str = "", *, bonus_bps: int = 500, dust_usd: int = 10, carry_bps: int = 0) -> Policy:
    """The same accounts, judged by `hypothec`: futures of ETH, options of ETH (with an index) and BTC (without)."""
    body = policy(bonus_bps=bonus_bps, dust_usd=dust_usd).body.decode()
    body = re.sub(r"(initial|maintenance)_(haircut_)?bps = [0-9]+\n", "", body)
    asset = f'id = "ETH"\nvolatility = "ETH-VOL"\ncarry_bps = {carry_bps}\n'
    body = body.replace('id = "ETH"\n', asset, 1).replace("[[venues]]\n", _PROFILE.format(parameters=parameters), 1)
    return Policy.parse(body.encode())


DEFAULT_PROFILE = profile_policy()


def capped(cap: int) -> Policy:
    """Without a bonus, and with the most that the vault of A lets out of its ether in a window, in base units."""
    token = b'asset = "ETH", decimals = 18'
    return Policy.parse(policy(bonus_bps=0).body.replace(token, token + f', cap = "{cap}"'.encode(), 1))


def price(
    low: int, high: int | None = None, status: PriceStatus = PriceStatus.FRESH, *, age: int = 0
) -> tuple[int, int, PriceStatus, int]:
    """A price for `market`, in 1e-12 USD: one value or a span; `age` in seconds."""
    return low, low if high is None else high, status, age


def market(
    prices: Mapping[str, tuple[int, int, PriceStatus, int]] | None = None,
    *,
    chains: Mapping[ChainId, ChainStatus] | None = None,
    cut_age: int = 0,
    tokens: Mapping[tuple[ChainId, Address], TokenFact | None] | None = None,
    rules: Policy = DEFAULT_POLICY,
) -> MarginContext:
    """ETH 2,000, BTC 50,000, USDX 1, all fresh, OLD missing, both chains live, every token all there in its vault.

    ETH's volatility is 0.6.

    With these prices, chains and tokens instead.
    """
    usual = {"ETH": price(2_000 * USD), "BTC": price(50_000 * USD), "USDX": price(USD)}
    usual |= {index.id: price(6 * USD // 10) for index in rules.indices}
    frame = {asset: _frame_price(asset, *given) for asset, given in (usual | dict(prices or {})).items()}
    states = {chain: _chain(chain, (chains or {}).get(chain, ChainStatus.LIVE), cut_age) for chain in (A, B)}
    whole = dict.fromkeys(rules.token_by_place, TokenFact(Amount(1 << 200), Amount(1 << 200)))
    facts = {place: fact for place, fact in (whole | dict(tokens or {})).items() if fact is not None}
    return MarginContext(rules, frame, states, facts, NOW * 1000)


def _frame_price(asset: str, low: int, high: int, status: PriceStatus, age: int) -> FramePrice:
    return FramePrice(asset, status, low, (low + high) // 2, high, UnixSeconds(NOW - age), 2, Assurance.ATTESTED)


def _chain(chain_id: ChainId, status: ChainStatus, age: int) -> ChainState:
    cut = Cut(chain_id, Height(7), Hash32(bytes(32)), UnixSeconds(NOW - age))
    return ChainState(Checkpoint(cut, Hash32(bytes(32))), Hash32(bytes(32)), NOW * 1000, Assurance.ATTESTED, status)


def units(number: int | str, decimals: int) -> Amount:
    """Base units of a decimal number, exactly."""
    whole, _, rest = str(number).partition(".")
    return Amount(int(whole) * 10**decimals + int(rest.ljust(decimals, "0") or 0))


def holding(chain_id: ChainId, token: Address, number: int | str) -> tuple[ChainId, Address, Amount]:
    """A holding in whole tokens."""
    return chain_id, token, units(number, DECIMALS[chain_id, token])


def authorization(
    venue: str = "alpha", limit: int = 1_000_000, *, seized: int = 0, payees: Iterable[ChainId] = (A, B)
) -> Authorization:
    """`limit` and `seized` in dollars; on each chain of `payees` it is paid to `payee(venue, chain)`."""
    named = tuple((chain, payee(venue, chain)) for chain in payees)
    return Authorization(venue, limit * USD, named, seized * USD, revoked=False)


def payee(venue: str, chain_id: ChainId) -> Address:
    return Address(venue.encode().ljust(19, b"\0") + bytes([chain_id]))


def position(instrument: str, size: int | str, entry: int) -> Position:
    """`size` in whole units, negative for a short; `entry` in dollars."""
    text = str(size)
    magnitude = units(text.lstrip("-"), 18)
    return Position(instrument, -magnitude if text.startswith("-") else magnitude, entry * USD)


def owes(*positions: Position, venue: str = "alpha", cash: int = 0, acknowledged: int = 0) -> VenueObligation:
    """What a venue reports; `cash` and `acknowledged` in dollars."""
    return VenueObligation(venue, 1, positions, cash * USD, acknowledged * USD)


def account(
    holdings: Iterable[tuple[ChainId, Address, Amount]] = (),
    obligations: Iterable[VenueObligation] = (),
    authorizations: Iterable[Authorization] | None = None,
    *,
    collateral: tuple[str, ...] = ALL_ASSETS,
    reservations: tuple[Reservation, ...] = (),
    nonces: Mapping[ChainId, int] | None = None,
    control: Control = Control.ENFORCEABLE,
) -> AccountView:
    """An account; by default every reporting venue is authorised up to $1,000,000 and every asset opted in."""
    held: dict[ChainId, dict[Address, Amount]] = {}
    for chain_id, token, amount in holdings:
        held.setdefault(chain_id, {})[token] = amount
    reported = tuple(obligations)
    allowed = tuple(authorizations) if authorizations is not None else tuple(authorization(o.venue) for o in reported)
    record = AccountRecord(Address(b"\x0e" * 20), 1, (), collateral, allowed, reservations, ())
    leaves = {
        chain_id: Holdings((nonces or {}).get(chain_id, 0), tuple(sorted(balances.items())), control)
        for chain_id, balances in held.items()
    }
    return AccountView(AccountId(b"\x01" * 32), record, Obligations(reported) if reported else None, leaves)


def whole(token: Address, amount: Amount) -> ReleaseItem:
    """An item of a token of which the vault holds all that it booked."""
    return ReleaseItem(token, amount, amount)


def reservation(
    chain_id: ChainId,
    items: Iterable[tuple[Address, Amount]],
    *,
    nonce: int = 1,
    kind: ReleaseKind = ReleaseKind.WITHDRAWAL,
    venue: str = "",
    credit: int = 0,
) -> Reservation:
    """An issued release; `credit` in 1e-12 USD."""
    return Reservation(
        kind,
        chain_id,
        VAULTS[chain_id],
        nonce,
        Address(b"\x0f" * 20),
        tuple(whole(token, amount) for token, amount in items),
        Hash32(bytes(32)),
        1,
        NOW + 60,
        venue,
        credit,
    )


def executed(view: AccountView, legs: Iterable[SeizureLeg]) -> AccountView:
    """The account once these legs, and no others of their plan, were carried out and proven."""
    assert view.record is not None
    holdings = dict(view.holdings)
    credited: dict[str, int] = {}
    for leg in legs:
        taken, before = {item.token: item.amount for item in leg.items}, holdings[leg.chain_id]
        after = ((token, Amount(held - taken.get(token, 0))) for token, held in before.balances)
        holdings[leg.chain_id] = Holdings(leg.nonce, tuple(item for item in after if item[1] > 0), before.control)
        credited[leg.venue] = credited.get(leg.venue, 0) + leg.credit
    allowed = tuple(
        Authorization(a.venue, a.limit, a.payees, a.seized + credited.get(a.venue, 0), a.revoked)
        for a in view.record.authorizations
    )
    record = AccountRecord(
        view.record.owner,
        view.record.nonce,
        view.record.linked,
        view.record.collateral,
        allowed,
        view.record.reservations,
        view.record.decisions,
    )
    return AccountView(view.account, record, view.obligations, holdings)
