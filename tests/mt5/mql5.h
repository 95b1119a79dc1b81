// As much of MQL5 as docs/mt5 uses, in C++, and a broker with it: so that the source can be compiled and run where
// there is no MetaTrader. terminal.py translates the source, and talks to `main` at the end over lines.
#include <cmath>
#include <cstdio>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

using std::string;
typedef long datetime;
typedef unsigned long ulong;
#define input

enum { WHOLE_ARRAY = -1, CP_UTF8 = 65001, TIME_DATE = 1, TIME_MINUTES = 2 };
enum { INIT_SUCCEEDED = 0, INIT_PARAMETERS_INCORRECT = 32767 };
enum { ACCOUNT_EQUITY, ACCOUNT_BALANCE, ACCOUNT_MARGIN_FREE, ACCOUNT_TRADE_MODE, ACCOUNT_TRADE_MODE_DEMO = 0 };
enum { SYMBOL_BID, SYMBOL_ASK, SYMBOL_POINT, SYMBOL_TRADE_STOPS_LEVEL, SYMBOL_VOLUME_MIN, SYMBOL_VOLUME_MAX,
       SYMBOL_VOLUME_STEP, SYMBOL_TRADE_CONTRACT_SIZE, SYMBOL_TRADE_TICK_SIZE, SYMBOL_TRADE_TICK_VALUE, SYMBOL_DIGITS,
       SYMBOL_CURRENCY_PROFIT, SYMBOL_FILLING_MODE };
enum { SYMBOL_FILLING_FOK = 1, SYMBOL_FILLING_IOC = 2, ORDER_FILLING_FOK, ORDER_FILLING_IOC, ORDER_FILLING_RETURN };
enum { POSITION_MAGIC, POSITION_SYMBOL };
enum { DEAL_POSITION_ID, DEAL_ENTRY, DEAL_MAGIC, DEAL_TYPE, DEAL_TIME, DEAL_REASON, DEAL_SYMBOL, DEAL_COMMENT, DEAL_PRICE,
       DEAL_VOLUME, DEAL_SL, DEAL_TP, DEAL_PROFIT, DEAL_SWAP, DEAL_COMMISSION };
enum { DEAL_ENTRY_IN, DEAL_ENTRY_OUT, DEAL_TYPE_BUY = 0, DEAL_TYPE_SELL = 1 };
enum { DEAL_REASON_CLIENT, DEAL_REASON_SL = 4, DEAL_REASON_TP = 5 };
enum { ORDER_TYPE_BUY, ORDER_TYPE_SELL, TRADE_ACTION_DEAL = 1, TRADE_TRANSACTION_DEAL_ADD = 6 };

struct MqlTradeRequest { int action; ulong magic; string symbol; double volume; int type; double price, sl, tp;
                         ulong deviation; int type_filling; string comment; };
struct MqlTradeResult { unsigned retcode; };
struct MqlTradeTransaction { int type; ulong deal; };

// ---- the terminal's and the broker's state
struct Deal { ulong position; int entry; long magic; int type; datetime time; int reason; string symbol, comment;
              double price, volume, sl, tp, profit; };
struct Position { long magic; string symbol; };
inline std::map<string, std::map<int, double>> the_symbols;
inline std::map<string, string> the_currencies;
inline std::map<int, double> the_account;
inline std::map<string, datetime> the_variables;
inline std::map<ulong, Deal> the_deals;
inline std::map<ulong, Position> the_positions;
inline std::vector<ulong> the_selection;
inline std::vector<MqlTradeTransaction> the_transactions;
inline Position the_position;
inline ulong the_tick_ms = 1000000;
inline datetime the_time = 1781704800;

inline string line_of(std::istream &from) { string line; if(!std::getline(from, line)) exit(0); return line; }

// ---- text
inline int StringLen(const string &text) { return (int)text.size(); }
inline int StringGetCharacter(const string &text, int at) { return (unsigned char)text[at]; }
inline string StringSubstr(const string &text, int at, int length) { return text.substr(at, length); }
inline long StringToInteger(const string &text) { return std::stol(text); }
inline double StringToDouble(const string &text) { return std::stod(text); }
inline string IntegerToString(long value) { return std::to_string(value); }
inline string DoubleToString(double value, int digits)
{
   char shown[400];
   snprintf(shown, sizeof shown, "%.*f", digits, value);
   return shown;
}
inline int StringReplace(string &text, const string &old, const string &other)
{
   for(size_t at = text.find(old); at != string::npos; at = text.find(old, at + other.size()))
      text.replace(at, old.size(), other);
   return 0;
}
inline int StringSplit(const string &text, int separator, std::vector<string> &parts)
{
   std::stringstream from(text);
   string part;
   parts.clear();
   while(std::getline(from, part, (char)separator))
      parts.push_back(part);
   return (int)parts.size();
}
inline string TimeToString(datetime time, int)
{
   char shown[40];
   strftime(shown, sizeof shown, "%Y.%m.%d %H:%M", gmtime(&time));
   return shown;
}
template <class... T> void Print(const T &...parts) { std::cout << "said "; (std::cout << ... << parts) << std::endl; }
template <class... T> void Alert(const T &...parts) { std::cout << "alert "; (std::cout << ... << parts) << std::endl; }

// ---- arrays, numbers, time
template <class T> int ArraySize(const std::vector<T> &items) { return (int)items.size(); }
template <class T> int ArrayResize(std::vector<T> &items, int size, int = 0) { items.resize(size); return size; }
inline double MathAbs(double value) { return std::fabs(value); }
inline double MathRound(double value) { return std::round(value); }
inline ulong GetTickCount64() { return the_tick_ms; }
inline datetime TimeCurrent() { return the_time; }
inline datetime TimeLocal() { return the_time; }
inline int GetLastError() { return 5203; }
inline void EventSetTimer(int) {}
inline void EventKillTimer() {}
inline int StringToCharArray(const string &text, std::vector<char> &data, int, int, int)
{
   data.assign(text.begin(), text.end());
   data.push_back(0);
   return (int)data.size();
}
inline string CharArrayToString(const std::vector<char> &data, int, int, int) { return string(data.begin(), data.end()); }

// ---- the wire: a line out, a line in ("<status> <milliseconds> <body>")
inline int WebRequest(const string &method, const string &url, string headers, int timeout, std::vector<char> &data,
                      std::vector<char> &result, string &answered)
{
   StringReplace(headers, "\r\n", "|");
   std::cout << "ask " << method << " " << url << " " << timeout << "\t" << headers << "\t"
             << string(data.begin(), data.end()) << std::endl;
   std::stringstream reply(line_of(std::cin));
   int status;
   ulong passed_ms;
   string body;
   reply >> status >> passed_ms;
   std::getline(reply, body);
   the_tick_ms += passed_ms;
   result.assign(body.begin() + (body.empty() ? 0 : 1), body.end());
   data.push_back('x');                   // as MetaTrader leaves it: not as it was
   answered = "Content-Length: 523\r\n";
   return status;
}

// ---- the broker
inline double AccountInfoDouble(int what) { return the_account[what]; }
inline long AccountInfoInteger(int what) { return (long)the_account[what]; }
inline bool SymbolSelect(const string &name, bool) { return the_symbols.count(name) > 0; }
inline double SymbolInfoDouble(const string &name, int what) { return the_symbols[name][what]; }
inline long SymbolInfoInteger(const string &name, int what) { return (long)the_symbols[name][what]; }
inline string SymbolInfoString(const string &name, int) { return the_currencies[name]; }
inline bool OrderCalcMargin(int, const string &name, double lots, double price, double &margin)
{
   margin = lots * the_symbols[name][SYMBOL_TRADE_CONTRACT_SIZE] * price / 100;
   return true;
}
inline datetime GlobalVariableSet(const string &name, double) { return the_variables[name] = the_time; }
inline bool GlobalVariableCheck(const string &name) { return the_variables.count(name) > 0; }
inline void GlobalVariablesFlush() { std::cout << "flushed" << std::endl; }
inline int GlobalVariablesDeleteAll(const string &prefix, datetime before)
{
   return (int)std::erase_if(the_variables, [&](auto &v) { return v.first.rfind(prefix, 0) == 0 && v.second < before; });
}
inline int PositionsTotal() { return (int)the_positions.size(); }
inline ulong PositionGetTicket(int at)
{
   auto found = std::next(the_positions.begin(), at);
   the_position = found->second;
   return found->first;
}
inline bool PositionSelectByTicket(ulong ticket) { return the_positions.count(ticket) > 0; }
inline long PositionGetInteger(int) { return the_position.magic; }
inline string PositionGetString(int) { return the_position.symbol; }
inline bool HistoryDealSelect(ulong deal) { return the_deals.count(deal) > 0; }
inline bool HistorySelect(datetime from, datetime)
{
   the_selection.clear();
   for(auto &[ticket, deal] : the_deals)
      if(deal.time >= from)
         the_selection.push_back(ticket);
   return true;
}
inline bool HistorySelectByPosition(long position)
{
   the_selection.clear();
   for(auto &[ticket, deal] : the_deals)
      if((long)deal.position == position)
         the_selection.push_back(ticket);
   return true;
}
inline int HistoryDealsTotal() { return (int)the_selection.size(); }
inline ulong HistoryDealGetTicket(int at) { return the_selection[at]; }
inline long HistoryDealGetInteger(ulong ticket, int what)
{
   const Deal &deal = the_deals[ticket];
   switch(what)
   {
      case DEAL_POSITION_ID: return (long)deal.position;
      case DEAL_ENTRY: return deal.entry;
      case DEAL_MAGIC: return deal.magic;
      case DEAL_TYPE: return deal.type;
      case DEAL_TIME: return deal.time;
      default: return deal.reason;
   }
}
inline double HistoryDealGetDouble(ulong ticket, int what)
{
   const Deal &deal = the_deals[ticket];
   switch(what)
   {
      case DEAL_PRICE: return deal.price;
      case DEAL_VOLUME: return deal.volume;
      case DEAL_SL: return deal.sl;
      case DEAL_TP: return deal.tp;
      case DEAL_PROFIT: return deal.profit;
      default: return 0.0;
   }
}
inline string HistoryDealGetString(ulong ticket, int what)
{
   return what == DEAL_SYMBOL ? the_deals[ticket].symbol : the_deals[ticket].comment;
}
inline void add_deal(const Deal &deal)
{
   ulong ticket = 9000 + the_deals.size();
   the_deals[ticket] = deal;
   the_transactions.push_back({TRADE_TRANSACTION_DEAL_ADD, ticket});
}
inline bool OrderSend(const MqlTradeRequest &request, MqlTradeResult &result)
{
   ulong position = 500 + the_deals.size();
   std::cout << "order " << request.symbol << " " << (request.type == ORDER_TYPE_BUY ? "BUY" : "SELL") << " "
             << request.volume << " " << request.price << " " << request.sl << " " << request.tp << std::endl;
   the_positions[position] = {(long)request.magic, request.symbol};
   add_deal({position, DEAL_ENTRY_IN, (long)request.magic, request.type, the_time, DEAL_REASON_CLIENT, request.symbol,
             request.comment, request.price, request.volume, request.sl, request.tp, 0.0});
   result.retcode = 10009;
   return true;
}
