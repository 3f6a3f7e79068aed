"""Most models a second time: plain floats from the protocols' own formulas, over files as they are. Shares no code.

Each function gives what an account has beyond each threshold of its model, in the model's order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, erfc, exp, floor, isqrt, log, sqrt
from typing import Any

File = dict[str, Any]
Vol = Callable[[float, float], float]
Move = tuple[float, Vol, float]
DAY = 86_400


def normal(x: float) -> float:
    return 0.5 * erfc(-x / sqrt(2))


class Account:
    """The sections of an account, and what the market says of them."""

    def __init__(self, file: File) -> None:
        self.market, self.rules, self.cash = file["market"], file["parameters"], file["cash"]
        self.category = file.get("category", "")
        self.collateral, self.debts, self.perpetuals, self.futures, self.options = (
            file.get(name, []) for name in ("collateral", "debts", "perpetuals", "futures", "options")
        )

    def price(self, row: File) -> float:
        found: float = self.market[row["asset"]]["price"]
        return found

    def expiry(self, row: File) -> File:
        expiries: list[File] = self.market[row["asset"]]["expiries"]
        return next(each for each in expiries if each["seconds"] == row["seconds"])

    def worth(self, rows: Sequence[File]) -> float:
        return float(sum(row["amount"] * self.price(row) for row in rows))

    def gained(self) -> float:
        perpetuals = sum(
            row["amount"] * (self.price(row) - row["entry_price"]) + row["funding"] for row in self.perpetuals
        )
        futures = sum(row["amount"] * (self.expiry(row)["forward"] - row["entry_price"]) for row in self.futures)
        return float(perpetuals + futures)

    def on(self, asset: str) -> Account:
        """What of the account is in or on one asset."""
        part = Account({"market": self.market, "parameters": self.rules, "cash": 0})
        for name in ("collateral", "debts", "perpetuals", "futures", "options"):
            setattr(part, name, [row for row in getattr(self, name) if row["asset"] == asset])
        return part

    def assets(self) -> list[str]:
        return [name for name in self.market if any((p := self.on(name)).positions()) or p.collateral or p.debts]

    def positions(self) -> list[File]:
        return [*self.perpetuals, *self.futures, *self.options]

    def mark(self, option: File, move: float = 0, vol: Vol = lambda v, _: v, *, discounted: bool = True) -> float:
        expiry = self.expiry(option)
        strike, forward = float(option["strike"]), float(expiry["forward"] * (1 + move))
        years = option["seconds"] / (365 * DAY)
        discount = exp(-expiry["rate"] * years) if discounted else 1.0
        deviation = vol(expiry["vol"], option["seconds"]) * sqrt(years)
        if deviation == 0 or forward <= 0:
            return discount * max(0.0, forward - strike if option["call"] else strike - forward)
        upper = log(forward / strike) / deviation + deviation / 2
        call = forward * normal(upper) - strike * normal(upper - deviation)
        return discount * (call if option["call"] else call - forward + strike)

    def deltas(self) -> tuple[float, float]:
        """Net and gross."""
        found = [row["amount"] for row in self.perpetuals]
        found += [row["amount"] * self.expiry(row)["forward"] / self.price(row) for row in self.futures]
        for row in self.options:
            expiry, years = self.expiry(row), row["seconds"] / (365 * DAY)
            deviation = expiry["vol"] * sqrt(years)
            upper = normal(log(expiry["forward"] / row["strike"]) / deviation + deviation / 2)
            carry = exp(-expiry["rate"] * years) * expiry["forward"] / self.price(row)
            found.append(row["amount"] * carry * (upper - (0 if row["call"] else 1)))
        return sum(found), sum(map(abs, found))

    def moved(self, moves: Sequence[Move], coins: float = 0) -> list[float]:
        """What each move does to positions, and to coins."""
        linear = coins + self.worth(self.perpetuals)
        linear += sum(row["amount"] * self.expiry(row)["forward"] for row in self.futures)
        return [
            weight
            * (
                linear * spot
                + sum(row["amount"] * (self.mark(row, spot, vol) - self.mark(row)) for row in self.options)
            )
            for spot, vol, weight in moves
        ]

    def short(self) -> float:
        return float(sum(max(0, -row["amount"]) for row in self.options))


# === Lending ===


def ltv(account: Account, *, categories: bool = True) -> list[float]:
    def factor(row: File, level: str) -> float:
        rules: File = account.rules["assets"][row["asset"]]
        if categories and account.category and rules["category"] == account.category:
            rules = account.rules["categories"][account.category]
        return float(rules[level])

    return [
        account.cash
        + sum(row["amount"] * account.price(row) * factor(row, level) for row in account.collateral)
        - account.worth(account.debts)
        for level in ("borrow", "liquidation")
    ]


def compound(account: Account) -> list[float]:
    return ltv(account, categories=False)


# === Perpetuals ===


def dydx(account: Account) -> list[float]:
    """In whole 1e-6 USD, as the chain counts."""
    has = floor(account.cash * 1e6 + 1e-6)
    initial = maintenance = 0
    for row in account.perpetuals:
        tier, notional = account.rules["tiers"][row["asset"]], abs(row["amount"]) * account.price(row) * 1e6
        has += floor(row["amount"] * (account.price(row) - row["entry_price"]) * 1e6) + floor(
            row["funding"] * 1e6 + 1e-6
        )
        base, interest = round(tier["initial"] * 1e6), account.market[row["asset"]]["open_interest"]
        lower, upper = tier["open_interest_lower"], tier["open_interest_upper"]
        scaled = base + floor((1e6 - base) * min(max((interest - lower) / (upper - lower), 0), 1))
        initial += ceil(notional * scaled / 1e6)
        maintenance += ceil(ceil(notional * base / 1e6) * tier["maintenance_fraction"])
    return [(has - initial) / 1e6, (has - maintenance) / 1e6]


def drift(account: Account) -> list[float]:
    def shrunk(weight: int, size: int, imf: float) -> int:
        return min(weight, 11 * 10**9 // (10**6 + isqrt(10 * size + 1) * round(imf * 1e6) // 10**5))

    def grown(weight: int, size: int, imf: float) -> int:
        return max(weight, weight - weight // 5 + isqrt(10 * size + 1) * round(imf * 1e6) // 10**7)

    def levels(rules: File, prefix: str) -> tuple[int, int]:
        return round(rules[f"{prefix}initial"] * 1e4), round(rules[f"{prefix}maintenance"] * 1e4)

    def of(level: str, initial: int, maintenance: int) -> int:
        return {"initial": initial, "fill": (initial + maintenance) // 2, "maintenance": maintenance}[level]

    found = []
    for level in ("initial", "fill", "maintenance"):
        total = account.cash
        for row in account.collateral:
            quote, rules = account.market[row["asset"]], account.rules["spots"][row["asset"]]
            initial, maintenance = levels(rules, "asset_")
            deposits = quote["deposits"] * quote["price"]
            if deposits > rules["scale_start"]:
                initial = floor(initial * rules["scale_start"] / deposits)
            weight = shrunk(of(level, initial, maintenance), round(row["amount"] * 1e9), rules["imf"])
            price = min(quote["price"], quote["twap"]) if level == "initial" else quote["price"]
            total += row["amount"] * price * weight / 1e4
        for row in account.debts:
            quote, rules = account.market[row["asset"]], account.rules["spots"][row["asset"]]
            weight = grown(of(level, *levels(rules, "liability_")), round(row["amount"] * 1e9), rules["imf"])
            price = max(quote["price"], quote["twap"]) if level == "initial" else quote["price"]
            total -= row["amount"] * price * weight / 1e4
        for row in account.perpetuals:
            rules, price = account.rules["perpetuals"][row["asset"]], account.price(row)
            pnl = row["amount"] * (price - row["entry_price"]) + row["funding"]
            initial, maintenance = levels(rules, "pnl_")
            of_pnl = (
                maintenance
                if level == "maintenance"
                else shrunk(initial, floor(max(pnl, 0) * 1e6) * 1_000, rules["pnl_imf"])
            )
            ratio = grown(of(level, *levels(rules, "")), round(abs(row["amount"]) * 1e9), rules["imf"])
            total += pnl * of_pnl / 1e4 if pnl > 0 else pnl
            total -= abs(row["amount"]) * price * ratio / 1e4
        found.append(total)
    return found


def mango(account: Account) -> list[float]:
    found = []
    for level in ("initial", "liq_end", "maintenance"):
        name, strict, total = level.replace("liq_end", "initial"), level == "initial", account.cash
        for rows, side, sign in ((account.collateral, "asset", 1), (account.debts, "liability", -1)):
            for row in rows:
                quote, rules = account.market[row["asset"]], account.rules["tokens"][row["asset"]]
                low, high = sorted((quote["price"], quote["stable_price"])) if strict else [quote["price"]] * 2
                weight = rules[f"{name}_{side}"]
                if strict and side == "asset":
                    weight /= max(1, quote["deposits"] * high / rules["deposit_scale_start"])
                if strict and side == "liability":
                    weight *= max(1, quote["borrows"] * high / rules["borrow_scale_start"])
                total += sign * row["amount"] * (low if side == "asset" else high) * weight
        for row in account.perpetuals:
            quote, rules = account.market[row["asset"]], account.rules["perpetuals"][row["asset"]]
            low, high = sorted((quote["price"], quote["stable_price"])) if strict else [quote["price"]] * 2
            side, price = ("asset", low) if row["amount"] > 0 else ("liability", high)
            health = row["amount"] * (price * rules[f"{name}_{side}"] - row["entry_price"]) + row["funding"]
            total += health * rules[f"{name}_overall"] if health > 0 else health
        found.append(total)
    return found


def synthetix(account: Account) -> list[float]:
    has = account.cash + account.gained() - account.worth(account.debts)
    for row in account.collateral:
        rules = account.rules["collaterals"][row["asset"]]
        discount = row["amount"] / rules["skew_scale"] * rules["scalar"]
        has += row["amount"] * account.price(row) * (1 - min(max(discount, rules["lower"]), rules["upper"]))
    found = []
    for level in ("initial", "maintenance"):
        required = 0.0
        for row in account.perpetuals:
            rules, size = account.rules["markets"][row["asset"]], abs(row["amount"])
            ratio = size / rules["skew_scale"] * rules["initial_fraction"] + rules["least_initial"]
            ratio *= rules["maintenance_scalar"] if level == "maintenance" else 1
            required += size * account.price(row) * (ratio + rules["reward"]) + rules["least_margin"]
        found.append(has - required)
    return found


# === Options ===


def derive_sm(account: Account) -> list[float]:
    coin = account.rules["depeg"]
    found = []
    for level in ("initial", "maintenance"):
        initial, total = level == "initial", account.cash + account.gained() - account.worth(account.debts)
        charged = [(row, abs(row["amount"]), account.market[row["asset"]]["confidence"]) for row in account.collateral]
        exposed = [(row, abs(row["amount"]), account.market[row["asset"]]["confidence"]) for row in account.perpetuals]
        for row in account.collateral:
            total += row["amount"] * account.price(row) * account.rules["assets"][row["asset"]][f"base_{level}"]
        for row in account.perpetuals:
            total -= (
                abs(row["amount"]) * account.price(row) * account.rules["assets"][row["asset"]][f"perpetual_{level}"]
            )
        for asset, seconds in {(row["asset"], row["seconds"]) for row in account.options}:
            held = account.on(asset)
            held.options = [row for row in held.options if row["seconds"] == seconds]
            first = held.options[0]
            alone = sum(_isolated(held, row, initial=initial) for row in held.options if row["amount"] < 0)
            total -= min(alone, _largest_loss(held, 1.2 if initial else 1.1))
            least = min(account.market[asset]["confidence"], account.expiry(first)["confidence"])
            exposed.append((first, held.short(), least))
        for row, size, confidence in (*charged, *exposed) if initial else ():
            rules = account.rules["assets"][row["asset"]]
            if confidence < rules["confidence_threshold"]:
                total -= (1 - confidence) * rules["confidence_factor"] * size * account.price(row)
        for row, size, _ in exposed if initial else ():
            total -= (coin["threshold"] - coin["stable_price"]) * coin["factor"] * size * account.price(row)
        found.append(total)
    return found


def _isolated(account: Account, row: File, *, initial: bool) -> float:
    size, spot, mark = -row["amount"], account.price(row), account.mark(row, discounted=False)
    beyond = row["strike"] - spot if row["call"] else spot - row["strike"]
    opened = size * (mark + max(0.1, 0.15 - max(0, beyond) / spot) * spot)
    if row["call"]:
        return float(opened if initial else size * (mark + 0.075 * spot))
    kept = size * (mark + max(0.075 * spot, 0.075 * mark))
    return float(max(opened, 1.05 * kept) if initial else kept)


def _largest_loss(account: Account, unpaired: float) -> float:
    def paid(at: float) -> float:
        return float(sum(
            row["amount"] * max(0, at - row["strike"] if row["call"] else row["strike"] - at) for row in account.options
        ))  # fmt: skip

    naked: float = max(0.0, -sum(row["amount"] for row in account.options if row["call"]))
    worst = min(0.0, *(paid(at) for at in (0, *(row["strike"] for row in account.options))))
    return naked * unpaired * float(account.expiry(account.options[0])["forward"]) - worst


def span(account: Account) -> list[float]:
    arrays, net, required = {}, {}, 0.0
    for asset in account.assets():
        rules, part = account.rules["assets"][asset], account.on(asset)
        arrays[asset], net[asset] = part.moved(_sixteen(rules)), part.deltas()[0]
    credit = dict.fromkeys(arrays, 0.0)
    for spread in account.rules["spreads"]:
        legs = [(spread[name], spread[f"{name}_ratio"]) for name in ("first", "second")]
        if all(asset in arrays for asset, _ in legs) and net[legs[0][0]] * net[legs[1][0]] < 0:
            spreads = min(abs(net[asset]) / ratio for asset, ratio in legs)
            for asset, ratio in legs:
                credit[asset] += _price_risk(arrays[asset]) / abs(net[asset]) * spreads * ratio * spread["rate"]
    for asset, array in arrays.items():
        rules, part = account.rules["assets"][asset], account.on(asset)
        charge = (part.deltas()[1] - abs(net[asset])) / 2 * rules["intra_spread"]
        minimum = part.short() * rules["short_option_minimum"]
        required += max(max(0, -min(array)) + charge - credit[asset], minimum)
    has = account.cash + account.gained() + sum(row["amount"] * account.mark(row) for row in account.options)
    return [has - required * account.rules["initial_multiple"], has - required]


def _sixteen(rules: File) -> list[Move]:
    def by(sign: int) -> Vol:
        return lambda vol, _: max(0.0, vol + sign * rules["vol_range"])

    far, cover = rules["price_range"] * rules["extreme_multiple"], rules["extreme_cover"]
    rows = [(rules["price_range"] * n / 3, by(sign), 1.0) for n in (0, 1, -1, 2, -2, 3, -3) for sign in (1, -1)]
    return [*rows, (far, by(0), cover), (max(-far, -1), by(0), cover)]


def _price_risk(array: list[float]) -> float:
    worst = min(range(14), key=array.__getitem__)
    vol = abs(array[worst - worst % 2] - array[worst - worst % 2 + 1]) / 2
    return max(0.0, -min(array) - vol + (array[0] + array[1]) / 2)


# === Grids ===

EXTENDED = (-0.66, -0.33, 0.5, 1, 2, 3, 4, 5)


def deribit(account: Account) -> list[float]:
    rows = [(0.04 * step, shock, 1.0) for step in range(-4, 5) for shock in (0.5, 0, -0.25)]
    rows += [(move, 0.5, round(0.16 / abs(move), 4)) for move in EXTENDED]
    return _grid(account, rows, least_up=0.5, floors=(0, 0), contingencies=(0.01, 0.006), maintenance=0.8)


def paradex(account: Account) -> list[float]:
    rows = [(0.04 * step, shock, 1.0) for step in range(-3, 4) for shock in (0.4, -0.22)]
    rows += [(0.16, 0.4, 1.0), (-0.16, 0.4, 1.0)]
    rows += [
        (move, 0.4, weight)
        for move, weight in zip(EXTENDED, (0.24, 0.48, 0.32, 0.16, 0.08, 0.0533, 0.04, 0.032), strict=True)
    ]
    return _grid(account, rows, least_up=0, floors=(0.02, 0.01), contingencies=(0, 0), maintenance=0.5)


def _grid(
    account: Account, rows: Sequence[tuple[float, float, float]], least_up: float, floors: tuple[float, float],
    contingencies: tuple[float, float], maintenance: float,
) -> list[float]:  # fmt: skip
    def by(shock: float) -> Vol:
        def shocked(vol: float, seconds: float) -> float:
            days = max(1.0, seconds / DAY)
            moved: float = max(0.0, vol * (1 + shock * (30 / days) ** (0.3 if days < 30 else 0.13)))
            return max(moved, least_up) if shock > 0 else moved

        return shocked

    required = 0.0
    for asset in account.assets():
        part = account.on(asset)
        coins = 0.0 if asset == "USDC" else part.worth(part.collateral) - part.worth(part.debts)
        loss = max(0, -min(part.moved([(move, by(shock), weight) for move, shock, weight in rows], coins)))
        net, gross = part.deltas()
        price = account.market[asset]["price"]
        floor_of_delta = (floors[0] * abs(net) + floors[1] * (gross - abs(net)) / 2) * price
        linear = sum(abs(row["amount"]) for row in (*part.perpetuals, *part.futures))
        required += max(loss, floor_of_delta) + price * (contingencies[0] * part.short() + contingencies[1] * linear)
    has = account.cash + account.gained() + account.worth(account.collateral) - account.worth(account.debts)
    has += sum(row["amount"] * account.mark(row) for row in account.options)
    return [has - required, has - required * maintenance]


MODELS: dict[str, Callable[[Account], list[float]]] = {
    "ltv": ltv, "compound": compound, "dydx": dydx, "drift": drift, "mango": mango, "synthetix": synthetix,
    "derive-sm": derive_sm, "span": span, "deribit-like": deribit, "paradex-like": paradex,
}  # fmt: skip
