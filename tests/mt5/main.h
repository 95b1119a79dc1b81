// Drives the expert advisor by lines from standard input; each is answered by what it led to and then "done".

void fire_transactions()
{
   MqlTradeRequest request = {};
   MqlTradeResult  result = {};
   for(size_t i = 0; i < the_transactions.size(); i++)
      OnTradeTransaction(the_transactions[i], request, result);
   the_transactions.clear();
}

void close_position(ulong position, double price, int reason, double profit)
{
   Deal deal;
   for(auto &[ticket, opened] : the_deals)
      if(opened.position == position)
         deal = opened;
   deal.entry = DEAL_ENTRY_OUT;
   deal.magic = 0;                         // the deal of a stop or of a hand has no magic
   deal.price = price;
   deal.reason = reason;
   deal.profit = profit;
   the_positions.erase(position);
   add_deal(deal);
}

void obey(const string &word, std::stringstream &rest)
{
   string name, text;
   int what;
   double value, more;
   ulong position;
   if(word == "init")
   {
      int code = OnInit();
      std::cout << "code " << code << std::endl;
   }
   else if(word == "timer")
      OnTimer();
   else if(word == "deinit")
      OnDeinit(1);
   else if(word == "input" && rest >> name && std::getline(rest >> std::ws, text))
      set_input(name, text);
   else if(word == "account" && rest >> what >> value)
      the_account[what] = value;
   else if(word == "currency" && rest >> name >> text)
      the_currencies[name] = text;
   else if(word == "symbol" && rest >> name >> what >> value)
      the_symbols[name][what] = value;
   else if(word == "pass" && rest >> value)
      the_tick_ms += (ulong)value;
   else if(word == "close" && rest >> position >> value >> what >> more)
      close_position(position, value, what, more);
   else if(word == "forget")                 // what a restart of the terminal leaves: trades and global variables
   {
      ArrayResize(g_taken, 0);
      g_outbox = COutbox();
   }
   else if(word == "parse" && std::getline(rest >> std::ws, text))
   {
      CJson json;
      std::cout << "parsed " << (json.Parse(text) ? "yes" : "no") << " " << json.Error() << std::endl;
   }
   else
      std::cout << "unknown " << word << std::endl;
}

int main()
{
   while(true)
   {
      std::stringstream rest(line_of(std::cin));
      string word;
      rest >> word;
      obey(word, rest);
      fire_transactions();
      std::cout << "done" << std::endl;
   }
}
