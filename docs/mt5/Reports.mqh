// What is reported of own trades: each fill and each close, by the position's number, which the server knows it by.

void OnTradeTransaction(const MqlTradeTransaction &transaction, const MqlTradeRequest &request,
                        const MqlTradeResult &result)
{
   if(transaction.type == TRADE_TRANSACTION_DEAL_ADD && HistoryDealSelect(transaction.deal))
      ReportPosition((ulong)HistoryDealGetInteger(transaction.deal, DEAL_POSITION_ID));
}

// At the start and each hour: all trades of a day again. The server drops what it knows; what a crash of the terminal
// or a lost connection to the broker kept from it, it learns now.
void ReportAgain()
{
   g_again_ms = GetTickCount64();
   ulong positions[];
   HistorySelect(TimeCurrent() - HISTORY_SECONDS, TimeCurrent() + HISTORY_SECONDS);
   int count = HistoryDealsTotal();
   ArrayResize(positions, count);
   for(int i = 0; i < count; i++)
      positions[i] = (ulong)HistoryDealGetInteger(HistoryDealGetTicket(i), DEAL_POSITION_ID);
   for(int i = 0; i < count; i++)                // ReportPosition selects another history
      ReportPosition(positions[i]);
}

// Put what is known of an own position into the outbox: its fill, and its end where it has one.
void ReportPosition(const ulong position)
{
   if(position == 0 || !HistorySelectByPosition((long)position))
      return;
   ulong entry = 0, exit = 0;
   double pnl = 0.0;
   for(int i = 0; i < HistoryDealsTotal(); i++)
   {
      ulong deal = HistoryDealGetTicket(i);
      if(HistoryDealGetInteger(deal, DEAL_ENTRY) != DEAL_ENTRY_IN)
         exit = deal;
      else if(entry == 0)
         entry = deal;
      pnl += HistoryDealGetDouble(deal, DEAL_PROFIT) + HistoryDealGetDouble(deal, DEAL_SWAP)
           + HistoryDealGetDouble(deal, DEAL_COMMISSION);
   }
   if(entry == 0 || HistoryDealGetInteger(entry, DEAL_MAGIC) != InpMagic)
      return;                                    // somebody else's; the deal of a stop has no magic of its own
   ReportFill(position, entry);
   if(exit != 0 && !PositionSelectByTicket(position))
      ReportClose(position, exit, pnl);
}

void ReportFill(const ulong position, const ulong deal)
{
   bool buy = HistoryDealGetInteger(deal, DEAL_TYPE) == DEAL_TYPE_BUY;
   Fill fill;
   fill.trade_id = position;
   fill.symbol = HistoryDealGetString(deal, DEAL_SYMBOL);
   fill.action = buy ? "BUY" : "SELL";
   fill.entry_price = HistoryDealGetDouble(deal, DEAL_PRICE);
   fill.lots = HistoryDealGetDouble(deal, DEAL_VOLUME);
   fill.stop_loss = HistoryDealGetDouble(deal, DEAL_SL);
   fill.take_profit = HistoryDealGetDouble(deal, DEAL_TP);
   fill.time = (datetime)HistoryDealGetInteger(deal, DEAL_TIME);
   fill.slippage = 0.0;
   fill.alpha_id = HistoryDealGetString(deal, DEAL_COMMENT);
   fill.regime = "";
   fill.q_star = 0.0;
   AddWhatTheSignalSaid(fill);
   g_outbox.Add("/api/executions", ExecutionBody(fill));
}

// After a restart the signal is forgotten: then the deal's comment names the strategy, and the rest stays empty.
void AddWhatTheSignalSaid(Fill &fill)
{
   for(int i = ArraySize(g_taken) - 1; i >= 0; i--)
      if(g_taken[i].symbol == fill.symbol && g_taken[i].action == fill.action)
      {
         fill.alpha_id = g_taken[i].alpha_id;
         fill.regime = g_taken[i].regime;
         fill.q_star = g_taken[i].q_star;
         fill.slippage = (fill.entry_price - g_taken[i].entry) * (fill.action == "BUY" ? 1.0 : -1.0);
         return;
      }
}

void ReportClose(const ulong position, const ulong deal, const double pnl)
{
   long   why = HistoryDealGetInteger(deal, DEAL_REASON);
   string target = InpSecondTarget ? "TP2" : "TP1";
   string reason = why == DEAL_REASON_SL ? "SL" : why == DEAL_REASON_TP ? target : "MANUAL";
   g_outbox.Add("/api/executions/close", CloseBody(position, HistoryDealGetDouble(deal, DEAL_PRICE), reason, pnl,
                (datetime)HistoryDealGetInteger(deal, DEAL_TIME)));
}
