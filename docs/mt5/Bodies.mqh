// The bodies of all that is sent. Pure: values in, JSON out. Keys and units: docs/api.md and /openapi.json.

// Return "name":"value". What could break out of the quotes, or is no ASCII, becomes a question mark.
string JsonText(const string name, const string value)
{
   string shown = "";
   for(int i = 0; i < StringLen(value); i++)
   {
      int character = (int)StringGetCharacter(value, i);
      bool plain = character >= 32 && character < 127 && character != '"' && character != '\\';
      shown += plain ? StringSubstr(value, i, 1) : "?";
   }
   return "\"" + name + "\":\"" + shown + "\"";
}

// Return "name":value, in plain decimals.
string JsonReal(const string name, const double value, const int digits)
{
   return "\"" + name + "\":" + DoubleToString(value, digits);
}

string JsonWhole(const string name, const long value)
{
   return "\"" + name + "\":" + IntegerToString(value);
}

// A fill, as it is reported. A price of 0 is none.
struct Fill
{
   ulong    trade_id;
   string   symbol;
   string   action;
   double   entry_price;
   double   lots;
   double   stop_loss;
   double   take_profit;
   datetime time;
   double   slippage;
   string   alpha_id;
   string   regime;
   double   q_star;
};

// POST /api/executions
string ExecutionBody(const Fill &fill)
{
   return "{" + JsonText("trade_id", IntegerToString((long)fill.trade_id))
        + "," + JsonText("symbol", fill.symbol)
        + "," + JsonText("action", fill.action)
        + "," + JsonReal("entry_price", fill.entry_price, 8)
        + "," + JsonReal("lots", fill.lots, 8)
        + "," + JsonReal("stop_loss", fill.stop_loss, 8)
        + "," + JsonReal("take_profit", fill.take_profit, 8)
        + "," + JsonText("timestamp", TimeToString(fill.time, TIME_DATE | TIME_MINUTES))
        + "," + JsonReal("slippage", fill.slippage, 8)
        + "," + JsonText("alpha_id", fill.alpha_id)
        + "," + JsonText("regime", fill.regime)
        + "," + JsonReal("q_star", fill.q_star, 2) + "}";
}

// POST /api/executions/close. pnl: with swap and commission, in account currency.
string CloseBody(const ulong trade_id, const double exit_price, const string exit_reason, const double pnl,
                 const datetime time)
{
   return "{" + JsonText("trade_id", IntegerToString((long)trade_id))
        + "," + JsonReal("exit_price", exit_price, 8)
        + "," + JsonText("exit_reason", exit_reason)
        + "," + JsonReal("pnl", pnl, 2)
        + "," + JsonText("timestamp", TimeToString(time, TIME_DATE | TIME_MINUTES)) + "}";
}

// POST /api/heartbeat
string HeartbeatBody(const int positions)
{
   return "{" + JsonReal("equity", AccountInfoDouble(ACCOUNT_EQUITY), 2)
        + "," + JsonReal("balance", AccountInfoDouble(ACCOUNT_BALANCE), 2)
        + "," + JsonReal("free_margin", AccountInfoDouble(ACCOUNT_MARGIN_FREE), 2)
        + "," + JsonWhole("positions", positions) + "}";
}

// POST /api/events
string ShutdownBody(const int reason, const int trades)
{
   double equity = AccountInfoDouble(ACCOUNT_EQUITY);
   return "{" + JsonText("event", "ea_shutdown")
        + "," + JsonWhole("reason", reason)
        + "," + JsonReal("equity", equity, 2)
        + "," + JsonReal("pnl", equity - AccountInfoDouble(ACCOUNT_BALANCE), 2)
        + "," + JsonWhole("trades", trades) + "}";
}

// One symbol of POST /api/broker/symbols. A margin of 0 is not known.
string TermsOf(const string symbol)
{
   double margin = 0.0;
   if(!OrderCalcMargin(ORDER_TYPE_BUY, symbol, 1.0, SymbolInfoDouble(symbol, SYMBOL_ASK), margin))
      margin = 0.0;
   return "{" + JsonText("symbol", symbol)
        + "," + JsonReal("contract_size", SymbolInfoDouble(symbol, SYMBOL_TRADE_CONTRACT_SIZE), 8)
        + "," + JsonReal("lot_min", SymbolInfoDouble(symbol, SYMBOL_VOLUME_MIN), 8)
        + "," + JsonReal("lot_step", SymbolInfoDouble(symbol, SYMBOL_VOLUME_STEP), 8)
        + "," + JsonReal("lot_max", SymbolInfoDouble(symbol, SYMBOL_VOLUME_MAX), 8)
        + "," + JsonReal("tick_size", SymbolInfoDouble(symbol, SYMBOL_TRADE_TICK_SIZE), 8)
        + "," + JsonWhole("digits", SymbolInfoInteger(symbol, SYMBOL_DIGITS))
        + "," + JsonText("quote_currency", SymbolInfoString(symbol, SYMBOL_CURRENCY_PROFIT))
        + "," + JsonReal("tick_value", SymbolInfoDouble(symbol, SYMBOL_TRADE_TICK_VALUE), 8)
        + "," + JsonReal("margin_per_lot", margin, 2) + "}";
}

// POST /api/broker/symbols
string BrokerSymbolsBody(const string &symbols[])
{
   string listed = "";
   for(int i = 0; i < ArraySize(symbols); i++)
      listed += (i > 0 ? "," : "") + TermsOf(symbols[i]);
   return "{\"symbols\":[" + listed + "]}";
}
