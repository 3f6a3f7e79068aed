"""What to seize, where and for whom, when an account is liquidatable.

A plan has at most one leg for each vault, since a vault's nonces rise by one with one open at a time. Each leg pays one
venue, takes no more haircut collateral than it pays off, and so is safe without the others. What one plan cannot reach
is left to the next, which ranks claims as if the two were one. By the policy a plan seizes in an order, pays no more
than a part of what is owed, and no more than brings the account back to a target: the rest is the next plan's, if the
account is still liquidatable by then. Must not know how legs are signed or carried out.

A vault whose next nonce an owner's withdrawal has is not in reach. A seizure under the same nonce would not do: that
the nonce was used then does not say by which of the two, and so not whether the venue was paid. One under the nonce
after it would wait for the withdrawal, which is the owner's to prevent. So the policy bounds how long withdrawals may
be executed, and the account's other vaults are seized meanwhile: what the withdrawal takes counts as gone, and if it
never goes, there is that much more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from chains.proofs.keccak import keccak
from chains.types import Address, Amount, ChainId, Hash32, TokenFact
from node.margin import spec
from node.margin.account import rules_of
from node.margin.collateral import open_reservations
from node.margin.context import MarginContext
from node.margin.outflow import NOTHING, Outflow
from node.margin.policy import PICO_PER_MICRO
from node.model.digests import ReleaseItem, ReleaseKind, word
from node.model.health import HealthStatus, HoldingLine, Reason
from node.model.ledger import AccountRecord, AccountView, Authorization, Reservation

MAX_ITEMS = 16
"""Most items of one release, as the vault has it."""
PARTS = 64
"""How finely a plan is cut to its target."""


@dataclass(frozen=True, slots=True)
class SeizureLeg:
    """One vault's part of a plan: `items`, ascending by token, go to `payee` for `venue`.

    `nonce` is the vault's next one of the account. `credit` (1e-12 USD) is what the venue is paid by it: at the low end
    of the prices never more than the least that the vault may pay for the items is worth.
    """

    chain_id: ChainId
    vault: Address
    nonce: int
    venue: str
    payee: Address
    items: tuple[ReleaseItem, ...]
    credit: int


def plan_liquidation(view: AccountView, context: MarginContext, outflow: Outflow = NOTHING) -> tuple[SeizureLeg, ...]:
    """The seizures that pay what a liquidatable account owes, by chain; none for any other account.

    None either while a seizure of the account is open, and none from a vault with an open withdrawal. Venues are paid
    their claim and the fees for closing, within the owner's limit; pro rata when what can be seized does not cover all.
    Only what certainly is there is taken: enforceable holdings on live chains, at fresh prices. A venue that would get
    less than dust waits: else the roundings of one plan would be the next one's legs. `outflow` is under way already,
    for all accounts: what a vault would not let out beside it is left to later plans.
    """
    under_way = open_reservations(view)
    if any(item.kind is ReleaseKind.SEIZURE for item in under_way):
        return ()
    rules = rules_of(context.policy)
    health = rules.evaluate(view, context)
    record = view.record
    if record is None or health.status not in (HealthStatus.LIQUIDATABLE, HealthStatus.INSOLVENT):
        return ()
    terms = context.policy.liquidation
    amounts = {venue: amount for venue, amount in rules.owed(view, context).items() if amount > 0}
    owed = {item.venue: item for item in record.authorizations if item.venue in amounts}
    taken = {item.chain_id for item in under_way}
    in_reach = (line for line in health.holdings if line.chain_id not in taken)
    vaults = [vault for vault in _vaults(in_reach, context, outflow) if _eligible(vault, owed)]
    seized, least = {venue: item.seized for venue, item in owed.items()}, _least(vaults)
    if health.status is HealthStatus.LIQUIDATABLE:
        amounts = {name: spec.closable(amount, terms.close_factor_bps, least) for name, amount in amounts.items()}
    entitled = spec.entitlements(amounts, seized, sum(vault.capacity for vault in vaults))

    seed = _seed(view, context)

    def legs(part: int) -> tuple[SeizureLeg, ...]:
        paid = {venue: spec.ceil_div(credit * part, PARTS) for venue, credit in entitled.items()}
        worthwhile = {venue: credit for venue, credit in paid.items() if credit >= least}
        assigned = _assigned(vaults, owed, worthwhile, seed)
        found = (_legs(view, context, owed[venue], chosen, paid[venue]) for venue, chosen in assigned.items())
        return tuple(sorted((leg for of_venue in found for leg in of_venue), key=lambda leg: leg.chain_id))

    def reaches(part: int) -> bool:
        after = rules.evaluate(_after(view, record, legs(part)), context)
        return spec.is_at_target(after.maintenance_excess, after.maintenance_margin, terms.target_bps or spec.BPS)

    if terms.target_bps is None or health.status is HealthStatus.INSOLVENT or not reaches(PARTS):
        return legs(PARTS)
    short, enough = 0, PARTS
    while enough - short > 1:
        middle = (short + enough) // 2
        short, enough = (short, middle) if reaches(middle) else (middle, enough)
    return legs(enough)


def _after(view: AccountView, record: AccountRecord, legs: tuple[SeizureLeg, ...]) -> AccountView:
    """The account where a plan has been issued: what it takes counts as gone, and what it pays as paid."""
    waiting = tuple(
        Reservation(
            kind=ReleaseKind.SEIZURE,
            chain_id=leg.chain_id,
            vault=leg.vault,
            nonce=leg.nonce,
            payee=leg.payee,
            items=leg.items,
            reference=Hash32(bytes(32)),
            sequence=0,
            expiry=0,
            venue=leg.venue,
            credit=leg.credit,
        )
        for leg in legs
    )
    authorizations = tuple(
        replace(item, seized=item.seized + sum(leg.credit for leg in legs if leg.venue == item.venue))
        for item in record.authorizations
    )
    reservations = (*record.reservations, *waiting)
    return replace(view, record=replace(record, authorizations=authorizations, reservations=reservations))


@dataclass(frozen=True, slots=True)
class _Source:
    """A holding that can be seized: its price (the low end, which never overstates it) and what credit it can pay.

    `there` is what the vault would pay for all of it that it lets out. Below `minimum` (1e-12 USD) an amount of it is
    dust. What has an earlier `turn` is seized first.
    """

    token: Address
    fact: TokenFact
    there: int
    price: int
    decimals: int
    premium: tuple[int, int]
    capacity: int
    minimum: int
    turn: int

    def taken_for(self, credit: int) -> ReleaseItem:
        """What pays for a credit, with the least that the vault may pay for it."""
        pays = spec.seized_amount(credit, *self.premium, self.price, self.decimals, self.there)
        return ReleaseItem(self.token, Amount(spec.booked_for(pays, self.fact.held, self.fact.booked)), Amount(pays))


@dataclass(frozen=True, slots=True)
class _Vault:
    """What can be seized in one vault by one release; `capacity` is the sum of its sources'."""

    chain_id: ChainId
    sources: tuple[_Source, ...]
    capacity: int


def _vaults(holdings: Iterable[HoldingLine], context: MarginContext, outflow: Outflow) -> list[_Vault]:
    """The vaults by chain, each with its first and most valuable sources, as many as one release can name."""
    by_chain: dict[ChainId, list[_Source]] = {}
    for line in holdings:
        if (source := _source(line, context, outflow)) is not None:
            by_chain.setdefault(line.chain_id, []).append(source)
    vaults = []
    for chain_id, sources in by_chain.items():
        chosen = sorted(sources, key=lambda item: (item.turn, -item.capacity, item.token))[:MAX_ITEMS]
        by_token = tuple(sorted(chosen, key=lambda item: item.token))
        vaults.append(_Vault(chain_id, by_token, sum(item.capacity for item in by_token)))
    return vaults


def _source(line: HoldingLine, context: MarginContext, outflow: Outflow) -> _Source | None:
    """A holding whose value is certain. A line with a reason is not: its price, its chain or its standing is bad.

    A shortfall is no such reason: the vault pays pro rata, so more of its books is taken for the same.
    """
    if set(line.reasons) - {Reason.SHORTFALL} or line.value.low == 0:
        return None
    fact = context.tokens[line.chain_id, line.token]
    amount = outflow.within(context.policy, ReleaseKind.SEIZURE, line.chain_id, line.token, line.amount)
    there = spec.pro_rata(amount, fact.held, fact.booked)
    price = context.token_marks[line.chain_id, line.token].collateral.low
    decimals = context.policy.token_by_place[line.chain_id, line.token].decimals
    rules = rules_of(context.policy)
    premium, turn = rules.premium(line, context), rules.turn(line.asset, context.policy)
    capacity = spec.credit_capacity(min(line.value.low, spec.holding_value(there, price, decimals)), *premium)
    if capacity == 0:
        return None
    minimum = context.policy.asset_by_id[line.asset].min_value_micro_usd * PICO_PER_MICRO
    return _Source(line.token, fact, there, price, decimals, premium, capacity, minimum, turn)


def _least(vaults: Iterable[_Vault]) -> int:
    """The least credit that is worth a release: the smallest amount of anything that is not dust, and not nothing."""
    return max(1, min((source.minimum for vault in vaults for source in vault.sources), default=1))


def _eligible(vault: _Vault, owed: Mapping[str, Authorization]) -> list[str]:
    """The venues that the owner lets be paid on the vault's chain."""
    return [venue for venue, item in owed.items() if _payee(item, vault.chain_id) is not None]


def _payee(item: Authorization, chain_id: ChainId) -> Address | None:
    return dict(item.payees).get(chain_id)


def _seed(view: AccountView, context: MarginContext) -> bytes:
    """What draws of the account begin with: another one with every time for which a release may be executed."""
    return view.account + word(context.time_ms // (1_000 * context.policy.timing.attestation_ttl))


def _assigned(
    vaults: Iterable[_Vault], owed: Mapping[str, Authorization], entitled: Mapping[str, int], seed: bytes
) -> dict[str, list[_Vault]]:
    """One venue for each vault: the largest first, each to the venue that lacks most, ties to the lower name.

    In every second of them a draw decides instead.
    """
    lacking = dict(entitled)
    assigned: dict[str, list[_Vault]] = {}
    for vault in sorted(vaults, key=lambda item: (-item.capacity, item.chain_id)):
        venues = sorted(venue for venue in _eligible(vault, owed) if venue in entitled)
        if venues:
            chosen = max(venues, key=lambda venue: lacking[venue])
            # SECURITY: a payee that cannot be paid has every release to it revert. Were its venue always the one that
            # lacks most, whoever owns the account and has such a payee would keep the vault from all others.
            draw = int.from_bytes(keccak(seed + word(vault.chain_id)), "big")
            if draw % 2:
                chosen = venues[draw // 2 % len(venues)]
            lacking[chosen] -= vault.capacity
            assigned.setdefault(chosen, []).append(vault)
    return assigned


def _legs(
    view: AccountView, context: MarginContext, item: Authorization, vaults: Iterable[_Vault], entitled: int
) -> Iterator[SeizureLeg]:
    """A venue's legs: what it is entitled to, of the holdings of its vaults by their turns."""
    ordered = sorted(vaults, key=lambda vault: vault.chain_id)
    shares = iter(_shares([source for vault in ordered for source in vault.sources], entitled))
    for vault in ordered:
        parts = [(source, next(shares)) for source in vault.sources]
        taken = [source.taken_for(part) for source, part in parts if part > 0]
        payee = _payee(item, vault.chain_id)
        if taken and payee is not None:
            yield SeizureLeg(
                chain_id=vault.chain_id,
                vault=context.policy.recipe_by_chain[vault.chain_id].vault,
                nonce=view.holdings[vault.chain_id].nonce + 1,
                venue=item.venue,
                payee=payee,
                items=tuple(taken),
                credit=sum(part for _, part in parts),
            )


def _shares(sources: Sequence[_Source], credit: int) -> list[int]:
    """What each source pays of a credit: all of one turn before any of the next, within a turn pro rata by value."""
    shares, left = [0] * len(sources), credit
    for turn in sorted({source.turn for source in sources}):
        places = [place for place, source in enumerate(sources) if source.turn == turn]
        whole, before = sum(sources[place].capacity for place in places), 0
        paid = min(left, whole)
        for place in places:
            # Differences of the running share: every part is rounded, and yet they add up to what is paid.
            after = before + sources[place].capacity
            shares[place], before = paid * after // whole - paid * before // whole, after
        left -= paid
    return shares
