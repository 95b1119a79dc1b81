// One signal: how it is read, and every reason not to trade it. Nothing is ever corrected: what is wrong is refused.

struct Signal
{
   string id;
   string symbol;
   string action;
   double confidence;
   double q_star;
   double entry;
   double stop_loss;
   double take_profit_1;
   double take_profit_2;
   double lots;
   string alpha_id;
   string regime;
   double expires_in_ms;    // by the server's clock, when it answered
   bool   simulated;
};

// Read a signal. False: a key is missing or of another kind, and the whole signal is refused.
bool ReadSignal(const CJson &json, const int index, Signal &signal)
{
   string at = "/signals/" + IntegerToString(index);
   return json.Text(at + "/id", signal.id)
       && json.Text(at + "/symbol", signal.symbol)
       && json.Text(at + "/action", signal.action)
       && json.Number(at + "/confidence", signal.confidence)
       && json.Number(at + "/q_star", signal.q_star)
       && json.Number(at + "/entry", signal.entry)
       && json.Number(at + "/stop_loss", signal.stop_loss)
       && json.Number(at + "/take_profit_1", signal.take_profit_1)
       && json.Number(at + "/take_profit_2", signal.take_profit_2)
       && json.Number(at + "/lots", signal.lots)
       && json.Text(at + "/alpha_id", signal.alpha_id)
       && json.Text(at + "/regime", signal.regime)
       && json.Number(at + "/expires_in_ms", signal.expires_in_ms)
       && json.Flag(at + "/simulated", signal.simulated);
}

// The broker's side of a signal's symbol, at one moment.
struct Market
{
   double bid;
   double ask;
   double least_distance;   // of a stop or target from the price
   double lot_min;
   double lot_max;
   double lot_step;
};

Market MarketOf(const string symbol)
{
   Market market;
   market.bid = SymbolInfoDouble(symbol, SYMBOL_BID);
   market.ask = SymbolInfoDouble(symbol, SYMBOL_ASK);
   market.least_distance = (double)SymbolInfoInteger(symbol, SYMBOL_TRADE_STOPS_LEVEL)
                         * SymbolInfoDouble(symbol, SYMBOL_POINT);
   market.lot_min = SymbolInfoDouble(symbol, SYMBOL_VOLUME_MIN);
   market.lot_max = SymbolInfoDouble(symbol, SYMBOL_VOLUME_MAX);
   market.lot_step = SymbolInfoDouble(symbol, SYMBOL_VOLUME_STEP);
   return market;
}

// Return why a size can't be ordered; empty if it can. It must be a whole number of steps as it stands.
string WrongLots(const double lots, const Market &market)
{
   if(market.lot_step <= 0.0 || market.lot_min <= 0.0)
      return "the broker's lot step is not known";
   if(lots < market.lot_min - 1e-9 || lots > market.lot_max + 1e-9)
      return "lots " + DoubleToString(lots, 8) + " are not between the broker's minimum and maximum";
   double steps = lots / market.lot_step;
   if(MathAbs(steps - MathRound(steps)) > 1e-6)
      return "lots " + DoubleToString(lots, 8) + " are no multiple of the broker's step";
   return "";
}

// Return why stop and targets don't fit the market; empty if they do. A BUY is bought at the ask and closed at the
// bid. most_drift: how much worse than `entry` the price may be, as a share of the way from entry to stop.
string WrongPrices(const Signal &signal, const Market &market, const double most_drift)
{
   double up = signal.action == "BUY" ? 1.0 : -1.0;
   double open = signal.action == "BUY" ? market.ask : market.bid;
   double close = signal.action == "BUY" ? market.bid : market.ask;
   double risk = (signal.entry - signal.stop_loss) * up;
   if(market.bid <= 0.0 || market.ask < market.bid)
      return "no market";
   if(risk <= 0.0 || signal.stop_loss <= 0.0)
      return "the stop is on the wrong side of the entry";
   if((close - signal.stop_loss) * up <= market.least_distance)
      return "the market is at the stop";
   if((signal.take_profit_1 - open) * up <= market.least_distance)
      return "the market is at the target";
   if((signal.take_profit_2 - signal.take_profit_1) * up < 0.0)
      return "the second target is before the first";
   if((open - signal.entry) * up > most_drift * risk)
      return "the market has gone further from the entry than the size allows";
   return "";
}

// Return 16 hexadecimal digits that stand for a signal's id (FNV-1a, 64 bits): names in the terminal are short.
string Fingerprint(const string id)
{
   ulong  hash = 0xCBF29CE484222325;
   string digits = "0123456789abcdef", shown = "";
   for(int i = 0; i < StringLen(id); i++)
      hash = (hash ^ (ulong)StringGetCharacter(id, i)) * 0x100000001B3;
   for(int i = 0; i < 16; i++)
   {
      shown = StringSubstr(digits, (int)(hash & 15), 1) + shown;
      hash >>= 4;
   }
   return shown;
}
