"""What can be wrong with an indicator's definition in a plan's file, and what is said of it."""

MISTAKES = {
    # -- names
    '"RSI 14" = { function = "RSI" }': "RSI 14: expected a name of small letters, digits and _ that is no column's",
    'Rsi = { function = "RSI" }': "Rsi: expected a name of small letters, digits and _ that is no column's",
    'close = { function = "RSI" }': "close: expected a name of small letters, digits and _ that is no column's",
    '"" = { function = "RSI" }': ": expected a name of small letters, digits and _ that is no column's",
    # -- functions
    'x = "RSI"': 'x: expected a table with a function, as in { function = "RSI", timeperiod = 14 }',
    "x = { timeperiod = 14 }": 'x: expected a table with a function, as in { function = "RSI", timeperiod = 14 }',
    'x = { function = ["RSI"] }': 'x: expected a table with a function, as in { function = "RSI", timeperiod = 14 }',
    'x = { function = "RSII" }': "x: no function 'RSII'; did you mean RSI?; `make indicators` lists them",
    'x = { function = "ema" }': "x: no function 'ema'; did you mean EMA?; `make indicators` lists them",
    'x = { function = "VWAPBANDS" }': (
        "x: no function 'VWAPBANDS'; did you mean VWAP_BANDS?; `make indicators` lists them"
    ),
    'x = { function = "@" }': "x: no function '@'; `make indicators` lists them",
    # -- parameters
    'x = { function = "RSI", timeperoid = 14 }': (
        "x: RSI has no parameter 'timeperoid'; did you mean timeperiod?; its parameters: timeperiod"
    ),
    'x = { function = "RSI", inputt = "open" }': (
        "x: RSI has no parameter 'inputt'; did you mean input?; its parameters: timeperiod"
    ),
    'x = { function = "OBV", timeperiod = 3 }': "x: OBV has no parameter 'timeperiod'; its parameters: none",
    'x = { function = "RSI", timeperiod = 14.0 }': "x: timeperiod: expected a whole number, found 14.0",
    'x = { function = "RSI", timeperiod = "14" }': "x: timeperiod: expected a whole number, found '14'",
    'x = { function = "RSI", timeperiod = true }': "x: timeperiod: expected a whole number, found True",
    'x = { function = "RSI", timeperiod = [14] }': "x: timeperiod: expected a whole number, found [14]",
    'x = { function = "BBANDS", nbdevup = "2" }': "x: nbdevup: expected a number, found '2'",
    'x = { function = "RSI", timeperiod = 0 }': "x: expected parameters in TA-Lib's ranges, found timeperiod = 0",
    'x = { function = "RSI", timeperiod = 100001 }': (
        "x: expected parameters in TA-Lib's ranges, found timeperiod = 100001"
    ),
    # TA-Lib reads the least 32-bit number, and the real one beyond its range, as "not given".
    'x = { function = "RSI", timeperiod = -2147483648 }': (
        "x: timeperiod: expected a number from -2.14748e+09 to 2.14748e+09, found -2147483648"
    ),
    'x = { function = "RSI", timeperiod = 5000000000 }': (
        "x: timeperiod: expected a number from -2.14748e+09 to 2.14748e+09, found 5000000000"
    ),
    'x = { function = "BBANDS", nbdevup = -4e37 }': "x: nbdevup: expected a number from -3e+37 to 3e+37, found -4e+37",
    'x = { function = "BBANDS", nbdevup = nan }': "x: nbdevup: expected a number from -3e+37 to 3e+37, found nan",
    'x = { function = "BBANDS", nbdevup = inf }': "x: nbdevup: expected a number from -3e+37 to 3e+37, found inf",
    'x = { function = "HURST", timeperiod = 3 }': ("x: timeperiod: expected a whole number from 64 to 100000, found 3"),
    'x = { function = "ICHIMOKU", conversion = 60 }': (
        "x: ICHIMOKU: expected conversion <= base <= span, found [60, 26, 52]"
    ),
    # -- types of moving average
    'x = { function = "MA", matype = "emma" }': (
        "x: matype: expected one of DEFAULT, DEMA, DISABLED, EMA, HMA, KAMA, MAMA, RMA, SMA, T3, TEMA, TRIMA, WMA,"
        " ZLEMA, found 'emma'; did you mean EMA?"
    ),
    'x = { function = "STOCH", slowd_matype = "sma" }': (
        "x: slowd_matype: expected one of DEFAULT, DEMA, DISABLED, EMA, HMA, KAMA, MAMA, RMA, SMA, T3, TEMA, TRIMA,"
        " WMA, ZLEMA, found 'sma'; did you mean SMA?"
    ),
    'x = { function = "MA", matype = 99 }': (
        "x: expected parameters in TA-Lib's ranges, found timeperiod = 30, matype = 99"
    ),
    # -- inputs
    'x = { function = "EMA", input = "rsi_41" }': (
        "x: input 'rsi_41': expected a column or an output defined above; did you mean rsi_14?"
    ),
    'x = { function = "EMA", input = "Close" }': (
        "x: input 'Close': expected a column or an output defined above; did you mean close?"
    ),
    'x = { function = "EMA", input = "later" }': "x: input 'later': expected a column or an output defined above",
    'x = { function = "EMA", input = "x" }': "x: input 'x': expected a column or an output defined above",
    'x = { function = "EMA", input = "macd" }': (
        "x: input 'macd': expected a column or an output defined above; did you mean macd_macd?"
    ),
    'x = { function = "EMA", input = 3 }': "x: input: expected a name, found 3",
    'x = { function = "EMA", inputs = "close" }': "x: inputs: expected a list of names, found 'close'",
    'x = { function = "EMA", inputs = [] }': "x: inputs: expected a list of names, found []",
    'x = { function = "EMA", input = "open", inputs = ["open"] }': "x: expected input or inputs, found both",
    'x = { function = "EMA", inputs = ["open", "close"] }': "x: EMA: expected 1 inputs (price), found 2",
    'x = { function = "ATR", input = "close" }': "x: ATR: expected 0 inputs (), found 1",
    'x = { function = "MAVP" }': "x: MAVP: expected 2 inputs (price, periods), found 0",
    # -- outputs
    'x = { function = "RSI", outputs = ["a", "b"] }': "x: outputs: expected 1 names (for real), found 2",
    'x = { function = "MACD", outputs = ["a", "b"] }': (
        "x: outputs: expected 3 names (for macd, macdsignal, macdhist), found 2"
    ),
    'x = { function = "AROON", outputs = ["a", "a"] }': "x: outputs: expected each name once",
    'x = { function = "RSI", outputs = ["rsi_14"] }': "x: output 'rsi_14' exists already: rsi_14 has it",
    'macd_macd = { function = "RSI" }': "macd_macd: output 'macd_macd' exists already: macd has it",
    'x = { function = "AROON" }': "x: output 'x_aroonup' exists already: x_aroonup has it",
    'x = { function = "RSI", outputs = ["Volume"] }': (
        "x: outputs: expected small letters, digits and _, and no column's name, found 'Volume'"
    ),
    'x = { function = "RSI", outputs = ["volume"] }': (
        "x: outputs: expected small letters, digits and _, and no column's name, found 'volume'"
    ),
    'x = { function = "RSI", outputs = "a" }': "x: outputs: expected a list of names, found 'a'",
    # -- lanes
    'x = { function = "RSI", timeframes = ["1min"] }': (
        "x: timeframes: expected some of 1s, 1m, 5m, 15m, 1h, found '1min'"
    ),
    'x = { function = "RSI", timeframes = "1m" }': "x: timeframes: expected a list of names, found '1m'",
    'x = { function = "RSI", symbols = "EURUSD" }': "x: symbols: expected a list of names, found 'EURUSD'",
    'x = { function = "RSI", symbols = [1] }': "x: symbols: expected a list of names, found [1]",
    'x = { function = "EMA", input = "hourly" }': (
        "x: input 'hourly' has the timeframes 15m, 1h only: expected no others here"
    ),
    'x = { function = "EMA", input = "hourly", timeframes = ["5m", "1h"] }': (
        "x: input 'hourly' has the timeframes 15m, 1h only: expected no others here"
    ),
    'x = { function = "EMA", input = "golden", symbols = ["EURUSD", "XAUUSD"] }': (
        "x: input 'golden' has the symbols XAUUSD only: expected no others here"
    ),
    # -- two symbols
    'x = { function = "BETA", inputs = ["close", "US500:price"], symbols = ["NAS100"] }': (
        "x: input 'US500:price': expected SYMBOL:column, the column one of open, high, low, close, volume, time,"
        " session"
    ),
    'x = { function = "BETA", inputs = ["close", ":close"], symbols = ["NAS100"] }': (
        "x: input ':close': expected SYMBOL:column, the column one of open, high, low, close, volume, time, session"
    ),
    'x = { function = "BETA", inputs = ["close", "US500:close"] }': (
        "x: expected symbols = [...], those that are set beside US500, without itself"
    ),
    'x = { function = "BETA", inputs = ["close", "US500:close"], symbols = ["US500"] }': (
        "x: expected symbols = [...], those that are set beside US500, without itself"
    ),
    **{
        f'x = {{ function = "{function}", inputs = {inputs}, symbols = ["NAS100"] }}': (
            "x: an indicator over two symbols takes columns of its own and of one other; none by session"
        )
        for function, inputs in (
            ("BETA", '["US30:close", "US500:close"]'),
            ("BETA", '["rsi_14", "US500:close"]'),
            ("BETA", '["session", "US500:close"]'),
            ("BETA", '["close", "US500:session"]'),
            ("OBV", '["US500:close"]'),
        )
    },
    'x = { function = "CORREL", inputs = ["close", "US500:volume"], symbols = ["NAS100"] }': (
        "x: expected prices of US500: its volume may be none, or of two kinds, unseen by this lane"
    ),
    'x = { function = "EMA", input = "beta", symbols = ["NAS100"] }': (
        "x: input 'beta' is over two symbols: nothing can rest on it"
    ),
}
"""The definition -> what is said of it, after the file's name and the line."""
