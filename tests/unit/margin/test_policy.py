"""A policy file is understood entirely or refused with the place that is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from chains.errors import ConfigError
from chains.proofs.slots import uint_word
from chains.types import (
    Address,
    Hash32,
    MappingRecipe,
    ProxyRecipe,
    RateRecipe,
    StorageRecipe,
    TokenRecipe,
    WordRecipe,
)
from node.margin.policy import MAX_FREE_TOKENS, MAX_TOKENS, MAX_VENUES, Policy, StaleBound
from node.model.requests import policy_hash
from node.model.state import MAX_WATCHED
from tests import kit

BODY = kit.policy().body.decode()


def refused(body: str) -> str:
    with pytest.raises(ConfigError) as refusal:
        Policy.parse(body.encode())
    return str(refusal.value)


def changed(old: str, new: str) -> str:
    assert old in BODY, old
    return BODY.replace(old, new, 1)


def test_the_policy_of_the_kit_is_understood() -> None:
    policy = Policy.parse(BODY.encode())
    assert policy.hash == policy_hash(BODY.encode())
    assert policy.asset_by_id["ETH"].initial_haircut_bps == 2000
    assert policy.perpetual_by_id["ETH-PERP"].underlying == "ETH"
    assert policy.venue_by_id["demo"].signer == kit.address("demo venue")
    assert sorted(policy.recipe_by_chain) == [1, 10]
    recipe = policy.token_by_place[kit.ONE, kit.TOKEN]
    assert (recipe.asset, recipe.decimals) == ("ETH", 18)
    assert policy.recipe_by_chain[kit.ONE].feeds[0].source == "feed-1"


def test_every_byte_of_the_file_counts_in_its_hash() -> None:
    assert Policy.parse(BODY.encode()).hash != Policy.parse((BODY + "\n# a remark\n").encode()).hash


def test_free_tokens_and_watched_wallets_go_together() -> None:
    free = kit.policy(text=kit.FREE).recipe_by_chain[kit.ONE]
    assert (free.max_watched, [token.free for token in free.tokens]) == (3, [True])
    plain = kit.policy().recipe_by_chain[kit.ONE]
    assert (plain.max_watched, [token.free for token in plain.tokens]) == (0, [False])
    for only in ("decimals = 18, free = true }]", "decimals = 18 }]\nmax_watched = 3"):
        assert "together" in refused(changed("decimals = 18 }]", only))
    assert "max_watched" in refused(
        changed("decimals = 18 }]", f"decimals = 18, free = true }}]\nmax_watched = {MAX_WATCHED + 1}")
    )
    token = '{{ token = "0x{:040x}", asset = "ETH", decimals = 18, free = true }}'
    many = ",".join(token.format(number) for number in range(1, MAX_FREE_TOKENS + 2))
    tables = f"tokens = [{many}]\nmax_watched = 3"
    assert "at most" in refused(re.sub("tokens = .*", tables, BODY, count=1))


TABLE = 'kind = "perpetual"'


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("schema_version = 1", "schema_version = 2", "schema_version"),
        ("schema_version = 1", "", "schema_version"),
        ("version = 1\n[timing]", "version = 0\n[timing]", "version"),
        ("version = 1\n[timing]", "version = 1\nbody = 'x'\n[timing]", "body"),
        ("version = 1\n[timing]", "version = 1\nsurprise = 1\n[timing]", "surprise"),
        ("max_price_age = 30", "max_price_age = 30.0", "timing.max_price_age"),
        ("max_price_age = 30", "max_price_age = 3e1", "timing.max_price_age"),
        ("max_price_age = 30", "max_price_age = inf", "timing.max_price_age"),
        ("max_price_age = 30", "max_price_age = true", "timing.max_price_age"),
        ("max_price_age = 30", 'max_price_age = "30"', "timing.max_price_age"),
        ("max_price_age = 30", "max_price_age = 0", "timing.max_price_age"),
        ("max_price_age = 30", "max_price_age = -1", "timing.max_price_age"),
        ("withdrawal_ttl = 100", "withdrawal_ttl = 121", "withdrawal_ttl is not above"),
        ("max_price_age = 30", "max_price_age = 9223372036854775808", "timing.max_price_age"),
        ("max_price_age = 30", "max_price_age = 2020-01-01", "timing.max_price_age"),
        ("max_price_age = 30", "", "timing.max_price_age"),
        ("max_price_age = 30", "max_price_age = 30\nmax_age = 1", "timing.max_age"),
        ("base_bps = 500", "base_bps = 500.5", "stale.base_bps"),
        ("fee_bps = 100", "fee_bps = 10001", "liquidation.fee_bps"),
        ("fee_bps = 100", 'fee_bps = 100\norder = "largest"', "liquidation.order"),
        ("fee_bps = 100", 'fee_bps = 100\norder = "illiquid"', "liquidation.order needs a profile"),
        ("fee_bps = 100", "fee_bps = 100\nclose_factor_bps = 0", "liquidation.close_factor_bps"),
        ("fee_bps = 100", "fee_bps = 100\nclose_factor_bps = 10001", "liquidation.close_factor_bps"),
        ("fee_bps = 100", "fee_bps = 100\ntarget_bps = 9999", "liquidation.target_bps"),
        ('id = "ETH"', 'id = ""', "assets.0.id"),
        ('id = "ETH"', "id = 5", "assets.0.id"),
        ('id = "ETH"', f'id = "{"x" * 32}"', "assets.0.id"),
        ('id = "ETH"', 'id = "Ξ"', "assets.0.id"),
        ("initial_haircut_bps = 2000", "initial_haircut_bps = 999", "assets.0"),
        ("maintenance_haircut_bps = 1000", "maintenance_haircut_bps = -1", "assets.0.maintenance_haircut_bps"),
        ("min_sources = 2", "min_sources = 0", "assets.0.min_sources"),
        (TABLE, 'kind = "swap"', "instruments.0.kind"),
        (TABLE, 'kind = "option"', "futures and options need a profile"),
        ('id = "ETH-PERP"', 'id = "ETH-25DEC26"', "instruments.0"),
        ("initial_haircut_bps = 2000\n", "", "initial_haircut_bps"),
        ("maintenance_bps = 500\n", "", "maintenance_bps"),
        ('id = "ETH"', 'id = "ETH"\nvolatility = "VOL"', "VOL"),
        ('id = "ETH"', 'id = "ETH"\ncarry_bps = -10001', "assets.0.carry_bps"),
        ("initial_bps = 1000", "initial_bps = 499", "instruments.0"),
        ("maintenance_bps = 500", "maintenance_bps = 0", "instruments.0.maintenance_bps"),
        ('underlying = "ETH"', 'underlying = "BTC"', "BTC"),
        ('signer = "0x', 'signer = "', "venues.0.signer"),
        ('signer = "0x', 'signer = "0x00', "venues.0.signer"),
        ('signer = "0x', 'signer = "0xzz', "venues.0.signer"),
        ('signer = "0x', 'signer = "0x  ', "venues.0.signer"),
        ("id = 1\n", "id = 0\n", "chains.0.id"),
        ("id = 10\n", "id = 1\n", "chains"),
        ("decimals = 18", "decimals = 37", "chains.0.tokens.0.decimals"),
        ('source = "feed-10"', 'source = "feed-1"', "feeds"),
        ('asset = "ETH", decimals = 18', 'asset = "BTC", decimals = 18', "BTC"),
        ("stride = 1", "stride = 0", "chains.0.stride"),
        ("[timing]", "[[timing]]", "timing"),
        ("[[assets]]", "[assets]", "assets"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(old: str, new: str, place: str) -> None:
    assert place in refused(changed(old, new))


@pytest.mark.parametrize("table", ["assets", "instruments", "venues"])
def test_a_name_stands_once(table: str) -> None:
    start = BODY.index(f"[[{table}]]")
    end = BODY.index("[[", start + 2)
    assert "twice" in refused(BODY + BODY[start:end])


def test_a_token_stands_once_a_chain() -> None:
    token = BODY[BODY.index("tokens = [") + len("tokens = [") : BODY.index("}]") + 1]
    assert "twice" in refused(BODY.replace(token, f"{token}, {token}", 1))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"no toml",
        b"a = 1\na = 2",
        b"a = " + b"[" * 5000,
        b"a = " + b"{b = " * 5000,
        b"version = " + b"9" * 5000,
    ],
    ids=["empty", "not UTF-8", "not TOML", "a key twice", "deep list", "deep table", "long number"],
)
def test_what_is_no_policy_at_all_is_refused_alike(body: bytes) -> None:
    with pytest.raises(ConfigError):
        Policy.parse(body)


def test_a_stale_bound_grows_with_age_rounded_up_to_its_cap() -> None:
    bound = StaleBound(base_bps=500, growth_bps_per_hour=1000, cap_bps=1600, write_off_after=86_400)
    assert [bound.bps(age) for age in (-5, 0, 1, 3, 4, 3600, 3961, 10**9)] == [
        500, 500, 501, 501, 502, 1500, 1600, 1600
    ]  # fmt: skip


def test_a_policy_names_no_more_feeds_than_an_observation_and_a_price_can_hold() -> None:
    feed = '{{ source = "s{0}", asset = "{1}", feed = "0x{2}", decimals = 8, code_hash = "0x{3}" }}'

    def feeds(asset_of: Callable[[int], str], count: int) -> str:
        listed = ", ".join(feed.format(at, asset_of(at), "11" * 20, "00" * 32) for at in range(count))
        return BODY[: BODY.rindex("feeds = ")] + f"feeds = [{listed}]\n"

    assert "255 of one asset" in refused(feeds(lambda _: "ETH", 255))
    Policy.parse(feeds(lambda _: "ETH", 254).encode())  # and one on the other chain


def test_a_policy_names_so_many_venues_and_no_more() -> None:
    venues = "".join(f'[[venues]]\nid = "v{at}"\nsigner = "0x{"22" * 20}"\n' for at in range(MAX_VENUES))
    assert "venues" in refused(BODY + venues)


# === Recipes of tokens ===

TOKEN = f'{{ token = "0x{kit.TOKEN.hex()}", asset = "ETH", decimals = 18 }}'
CAP = 'cap = "1000"'
ERC20 = f'kind = "erc20", code_hash = "0x{"07" * 32}", balances = {{ slot = 9 }}'
PROXY = f'proxy = {{ slot = "0x{"36" * 32}", implementation = "0x{"0f" * 20}", code_hash = "0x{"08" * 32}" }}'
RATE = 'lst = { underlying = "ETH", rate = { slot = 5, offset = 8, size = 16 }, scale = 18 }, max_rate_bps = 12000'
SHARES = (
    f'erc4626 = {{ underlying = "0x{kit.TOKEN.hex()}", supply = {{ slot = 2 }}, offset = 6 }}, max_rate_bps = 11000'
)


def token(fields: str, address: bytes = kit.TOKEN) -> str:
    return f'{{ token = "0x{address.hex()}", asset = "ETH", decimals = 18, {CAP}, {fields} }}'


def with_tokens(*tokens: str, kind: str = "evm") -> str:
    return BODY.replace(TOKEN, ", ".join(tokens), 1).replace('kind = "simulated"', f'kind = "{kind}"', 1)


def recipe_of(*tokens: str) -> TokenRecipe:
    """Of the last of them."""
    return Policy.parse(with_tokens(*tokens).encode()).recipe_by_chain[kit.ONE].tokens[-1]


def test_a_token_states_where_its_balances_are() -> None:
    plain = recipe_of(token(ERC20))
    assert plain.storage == StorageRecipe(Hash32(b"\x07" * 32), MappingRecipe(uint_word(9)))
    assert plain.rate is None
    vyper = recipe_of(token(ERC20.replace("slot = 9", 'slot = 9, layout = "vyper"')))
    assert vyper.storage is not None
    assert vyper.storage.balances.slot_first
    proxied = recipe_of(token(f"{ERC20}, {PROXY}"))
    assert proxied.storage is not None
    assert proxied.storage.proxy == ProxyRecipe(Hash32(b"\x36" * 32), Address(b"\x0f" * 20), Hash32(b"\x08" * 32))


def test_a_native_coin_needs_no_recipe() -> None:
    bare = TOKEN.replace(kit.TOKEN.hex(), "00" * 20).replace("18 }", f"18, {CAP} }}")
    assert recipe_of(bare) == recipe_of(bare.replace(CAP, f'{CAP}, kind = "native"'))
    assert recipe_of(bare).storage is None


def test_a_token_of_a_chain_without_storage_proofs_needs_none_either() -> None:
    assert (
        Policy.parse(with_tokens(TOKEN, kind="simulated").encode()).recipe_by_chain[kit.ONE].tokens[0].storage is None
    )
    assert "what kind of token" in refused(with_tokens(TOKEN))


def test_a_vaults_cap_is_stated_in_base_units_as_text() -> None:
    largest = str(2**112 - 1)
    assert recipe_of(token(ERC20)).cap == 1_000
    assert recipe_of(token(ERC20).replace("1000", largest)).cap == 2**112 - 1
    assert "the vault's cap of token" in refused(with_tokens(token(ERC20).replace(f"{CAP}, ", "")))
    for wrong in ('"1"', '"0"', "1000", '"1e3"', '"01000"', '"-5"', f'"{2**112}"', f'"{"9" * 5000}"'):
        assert "write a cap as" in refused(with_tokens(token(ERC20).replace('"1000"', wrong)))


def test_a_staked_token_states_its_rate() -> None:
    recipe = recipe_of(token(f"{ERC20.replace('erc20', 'lst')}, {RATE}"))
    assert recipe.rate == RateRecipe("ETH", 18, 12_000, WordRecipe(uint_word(5), 8, 16), None, None, 0, 10**18)


def test_shares_are_of_an_admitted_token() -> None:
    shares = token(f"{ERC20.replace('erc20', 'erc4626')}, {SHARES}", b"\x22" * 20)
    recipe = recipe_of(token(ERC20).replace("decimals = 18", "decimals = 6"), shares)
    supply = WordRecipe(uint_word(2))
    assert recipe.rate == RateRecipe("ETH", 6, 11_000, None, kit.TOKEN, supply, 1, 10**6)
    stated = shares.replace("offset = 6", "offset = 6, assets = { slot = 7 }")
    rate = recipe_of(token(ERC20), stated).rate
    assert rate is not None
    assert rate.assets == WordRecipe(uint_word(7))
    assert "underlying" in refused(with_tokens(shares))
    assert "underlying" in refused(with_tokens(token('kind = "native"', bytes(20)), shares))


LST = token(f"{ERC20.replace('erc20', 'lst')}, {RATE}")


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("lst", "erc777", "chains.0.tokens.0.kind"),
        ('kind = "lst"', 'kind = "erc20"', "leave out lst"),
        ('kind = "lst"', 'kind = "erc4626"', "state erc4626"),
        ('kind = "lst"', 'kind = "native"', "native coin"),
        (kit.TOKEN.hex(), "00" * 20, "native coin"),
        (", max_rate_bps = 12000", "", "state max_rate_bps"),
        ("max_rate_bps = 12000", "max_rate_bps = 1000001", "max_rate_bps"),
        ("max_rate_bps = 12000", "max_rate_bps = 0", "max_rate_bps"),
        (f'code_hash = "0x{"07" * 32}", ', "", "state code_hash"),
        ("balances = { slot = 9 }, ", "", "state balances"),
        ("slot = 9", "slot = -1", "balances.slot"),
        ("slot = 9", "slot = true", "balances.slot"),
        ("slot = 9", 'slot = "9"', "balances.slot"),
        ("slot = 9", 'slot = 9, layout = "rust"', "balances.layout"),
        ("offset = 8, size = 16", "offset = 24, size = 16", "within its slot"),
        ("offset = 8, size = 16", "offset = 8, size = 0", "rate.size"),
        ("scale = 18", "scale = 37", "lst.scale"),
        ('underlying = "ETH"', 'underlying = "BTC"', "BTC"),
        ("max_rate_bps", "surprise = 1, max_rate_bps", "surprise"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_recipe_is_named(old: str, new: str, place: str) -> None:
    assert recipe_of(LST).rate is not None
    assert old in LST
    assert place in refused(with_tokens(LST.replace(old, new, 1)))


def test_there_are_no_more_tokens_on_a_chain_than_one_cut_can_prove() -> None:
    many = [token(ERC20, number.to_bytes(20, "big")) for number in range(1, MAX_TOKENS + 2)]
    assert len(Policy.parse(with_tokens(*many[:-1]).encode()).recipe_by_chain[kit.ONE].tokens) == MAX_TOKENS
    assert "tokens" in refused(with_tokens(*many))


def test_keys_of_many_parts_are_refused_before_they_take_quadratic_time() -> None:
    deep = b".".join([b"a"] * 66) + b" = 1\n"
    with pytest.raises(ConfigError, match="fewer dots"):
        Policy.parse(deep)
    with pytest.raises(ConfigError, match="fewer dots"):
        Policy.parse(b"[" + b".".join([b"a"] * 20_000) + b"]\n" + b"b = 1\n" * 20_000)
