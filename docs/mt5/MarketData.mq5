// An expert advisor for the market data pipeline: asks for signals, trades each once, and reports everything.
// README.md beside this file says how to install it, and what it does not do. An example: read it before you use it.
#property version "1.00"

#include "Json.mqh"
#include "Bodies.mqh"
#include "Server.mqh"
#include "Signals.mqh"

input string InpUrl = "http://127.0.0.1:8000";   // Server, also in Tools > Options > Expert Advisors > WebRequest
input string InpToken = "";                      // API_TOKEN of the server; empty: none
input string InpSymbols = "US100.e,XAUUSD";      // Symbols that may be traded, as the broker writes them
input bool   InpTrade = false;                   // false: only say what would be ordered
input bool   InpAllowSimulated = false;          // true: take signals of `make demo`, on a demo account only
input int    InpLimit = 6;                       // Signals to ask for at once
input int    InpMaxPositions = 3;                // Own positions at most
input double InpMinConfidence = 0.5;             // Signals below this are refused
input double InpMaxDrift = 0.2;                  // Price worse than the entry by at most this share of the risk
input bool   InpSecondTarget = false;            // true: take profit at the second target
input int    InpHeartbeatSeconds = 5;            // Between two heartbeats
input int    InpTimeoutMs = 3000;                // Of one request
input long   InpMagic = 20260617;                // Number that marks own orders

#define HOUR_MS          3600000
#define HISTORY_SECONDS  86400
#define DONE_PREFIX      "mdp."

CServer g_server;
COutbox g_outbox;
string  g_symbols[];
Signal  g_taken[];                // signals that were ordered since the start, the newest last
ulong   g_heartbeat_ms = 0;       // when the last one was sent, by GetTickCount64
ulong   g_terms_ms = 0;
ulong   g_again_ms = 0;           // when all trades of a day were last reported again
int     g_trades = 0;             // orders that were sent since the start

int OnInit()
{
   string health = "";
   StringSplit(InpSymbols, ',', g_symbols);
   for(int i = 0; i < ArraySize(g_symbols); i++)
      if(!SymbolSelect(g_symbols[i], true))
      {
         Alert("the broker has no symbol ", g_symbols[i]);
         return INIT_PARAMETERS_INCORRECT;
      }
   g_server.Init(InpUrl, InpToken, InpTimeoutMs);
   int status = g_server.Get("/health", health);
   Print("health: ", status, " ", health);
   SendTerms();
   ReportAgain();
   EventSetTimer(1);
   return INIT_SUCCEEDED;
}

void OnDeinit(const int reason)
{
   string reply = "";
   EventKillTimer();
   g_outbox.Send(g_server);
   g_server.Post("/api/events", ShutdownBody(reason, g_trades), reply);
}

// Once a second. Reports first: while one waits, the server does not know what is open here, and nothing is ordered.
void OnTimer()
{
   g_outbox.Send(g_server);
   ulong now_ms = GetTickCount64();
   if(now_ms - g_terms_ms >= HOUR_MS)
      SendTerms();
   if(now_ms - g_again_ms >= HOUR_MS)
      ReportAgain();
   if(now_ms - g_heartbeat_ms >= (ulong)InpHeartbeatSeconds * 1000)
      SendHeartbeat();
   if(g_outbox.Waiting() == 0)
      Poll();
}

void SendTerms()
{
   string reply = "";
   int status = g_server.Post("/api/broker/symbols", BrokerSymbolsBody(g_symbols), reply);
   if(status == 200 || status == 422)     // what is called wrong is not sent each second
      g_terms_ms = GetTickCount64();
   Say("terms: " + IntegerToString(status) + " " + reply);
}

void SendHeartbeat()
{
   string reply = "";
   if(g_server.Post("/api/heartbeat", HeartbeatBody(PositionsTotal()), reply) == 200)
      g_heartbeat_ms = GetTickCount64();
}

void Poll()
{
   string reply = "", path = "/api/signals?equity=" + DoubleToString(AccountInfoDouble(ACCOUNT_EQUITY), 2)
                           + "&limit=" + IntegerToString(InpLimit);
   ulong  asked_ms = GetTickCount64();     // before the question: what passes from here on is the signal's time
   int    status = g_server.Get(path, reply);
   CJson  json;
   if(status != 200 || !json.Parse(reply) || json.Length("/signals") < 0)
   {
      Say("no signals: status " + IntegerToString(status) + " " + (status == 200 ? json.Error() : reply));
      return;
   }
   bool ordered = false;                   // one order a poll: the next one then knows of its position
   for(int i = 0; i < json.Length("/signals") && !ordered; i++)
   {
      Signal signal;
      if(ReadSignal(json, i, signal))
         ordered = Consider(signal, asked_ms);
      else
         Say("signal " + IntegerToString(i) + " lacks a key, or has one of another kind");
   }
}

// Trade a signal or say why not; return whether an order went out.
bool Consider(const Signal &signal, const ulong asked_ms)
{
   string why = Refusal(signal, (double)(GetTickCount64() - asked_ms));
   if(why != "")
      Say("refused " + signal.id + ": " + why);
   else if(InpTrade)
      return Order(signal);
   else
      Say("would " + signal.action + " " + DoubleToString(signal.lots, 2) + " " + signal.symbol + ": " + signal.id);
   return false;
}

// Return why a signal is not traded; empty if it is.
string Refusal(const Signal &signal, const double passed_ms)
{
   if(signal.action != "BUY" && signal.action != "SELL")
      return "action " + signal.action;
   if(signal.simulated && !(InpAllowSimulated && AccountInfoInteger(ACCOUNT_TRADE_MODE) == ACCOUNT_TRADE_MODE_DEMO))
      return "simulated";
   if(signal.expires_in_ms <= passed_ms)
      return "expired";
   if(GlobalVariableCheck(DONE_PREFIX + Fingerprint(signal.id)))
      return "done";
   if(signal.confidence < InpMinConfidence)
      return "confidence";
   if(!IsAllowed(signal.symbol))
      return "not in InpSymbols";
   if(OwnPositions(signal.symbol) > 0 || OwnPositions("") >= InpMaxPositions)
      return "positions";
   Market market = MarketOf(signal.symbol);
   string why = WrongLots(signal.lots, market);
   return why != "" ? why : WrongPrices(signal, market, InpMaxDrift);
}

bool IsAllowed(const string symbol)
{
   for(int i = 0; i < ArraySize(g_symbols); i++)
      if(g_symbols[i] == symbol)
         return true;
   return false;
}

// Return how many own positions are open on a symbol; on all if it is empty.
int OwnPositions(const string symbol)
{
   int count = 0;
   for(int i = 0; i < PositionsTotal(); i++)
      if(PositionGetTicket(i) > 0 && PositionGetInteger(POSITION_MAGIC) == InpMagic)
         if(symbol == "" || PositionGetString(POSITION_SYMBOL) == symbol)
            count++;
   return count;
}

// Order once. The id is noted on the disk before the order goes out: what happens in between costs an order, and
// never makes two.
bool Order(const Signal &signal)
{
   string done = DONE_PREFIX + Fingerprint(signal.id);
   GlobalVariablesDeleteAll(DONE_PREFIX, TimeLocal() - HISTORY_SECONDS);
   if(GlobalVariableSet(done, 1.0) == 0)
      return false;
   GlobalVariablesFlush();
   int count = ArraySize(g_taken);
   ArrayResize(g_taken, count + 1, 16);
   g_taken[count] = signal;
   MqlTradeRequest request = {};
   MqlTradeResult  result = {};
   FillRequest(signal, request);
   bool sent = OrderSend(request, result);
   g_trades += sent ? 1 : 0;
   Say("order " + signal.id + ": " + (sent ? "sent" : "not sent") + ", code " + IntegerToString((long)result.retcode));
   return true;
}

void FillRequest(const Signal &signal, MqlTradeRequest &request)
{
   bool buy = signal.action == "BUY";
   long filling = SymbolInfoInteger(signal.symbol, SYMBOL_FILLING_MODE);
   request.action = TRADE_ACTION_DEAL;
   request.magic = (ulong)InpMagic;
   request.symbol = signal.symbol;
   request.volume = signal.lots;
   request.type = buy ? ORDER_TYPE_BUY : ORDER_TYPE_SELL;
   request.price = SymbolInfoDouble(signal.symbol, buy ? SYMBOL_ASK : SYMBOL_BID);
   request.sl = signal.stop_loss;
   request.tp = InpSecondTarget ? signal.take_profit_2 : signal.take_profit_1;
   request.deviation = 10;
   request.type_filling = (filling & SYMBOL_FILLING_FOK) != 0 ? ORDER_FILLING_FOK
                        : (filling & SYMBOL_FILLING_IOC) != 0 ? ORDER_FILLING_IOC : ORDER_FILLING_RETURN;
   request.comment = StringSubstr(signal.alpha_id, 0, 31);   // MetaTrader keeps no more
}

#include "Reports.mqh"
