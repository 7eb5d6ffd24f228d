// What is around the coordinator in its process: sockets, clocks and files. What it decides (runtime/coordinator.h)
// goes to the ranks and into the run's records; what a person should see goes to the launcher.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/streambuf.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "launch/checkpoint_publisher.h"
#include "launch/coordinator_boot.h"
#include "runtime/control_server.h"
#include "runtime/coordinator.h"
#include "runtime/file_server.h"
#include "runtime/json_lines.h"
#include "runtime/term_journal.h"
#include "trainer/config/load.h"
#include "trainer/run/recorder.h"

namespace cadre::launch {

// One thread runs it all but the publishing of checkpoints.
class CoordinatorShell : public runtime::ControlHandler {
 public:
  struct Descriptors {
    std::vector<int> listeners = {};
    int control = -1;  // lines from the launcher; its end means that the launcher is gone
    int report = -1;   // lines to the launcher
  };
  // UserError: the run's folder or the checkpoint to go on from is not what it must be.
  CoordinatorShell(CoordinatorBoot boot, const Descriptors& descriptors);
  ~CoordinatorShell() override;

  // Until the run is at its end. Returns its exit code.
  int run();

 private:
  void on_open(runtime::Connection connection, const std::string& peer) override;
  void on_message(runtime::Connection connection, runtime::MemberMessage message) override;
  void on_close(runtime::Connection connection, runtime::ChannelEnd why) override;
  void on_detach(runtime::Connection connection, runtime::ChannelEnd why) override;

  runtime::CoordinatorOptions find_start();
  // Any thread.
  runtime::CoordinatorOptions::Start find_checkpoint(const runtime::CheckpointStore& store,
                                                     std::vector<std::string>& problems) const;
  void look_for_checkpoint();
  void perform(runtime::Effects effects);
  void perform(runtime::Effect& effect);
  void tell(runtime::Tell& effect);
  void look_for_proof(runtime::Join& join);
  // Made when the first rank needs it.
  const runtime::FileServer& file_server();
  void journal(const runtime::Journal& effect);
  void finish(const runtime::Finished& effect);
  void begin_records(std::optional<std::uint64_t> done, double seconds);
  void read_control();
  void obey_control(const std::string& line);
  void tick();
  void report(const boost::json::object& line);
  void report_news(const boost::json::object& line);
  void say(const std::string& line, bool warning);
  // Ends the process when a record that the run cannot do without cannot be written.
  void give_up(const std::string& reason);
  void put_out(const std::set<runtime::Connection>& connections, const std::string& reason);

  CoordinatorBoot boot_;
  config::Resolved resolved_;
  std::filesystem::path folder_;
  int report_;
  boost::asio::io_context io_{1};
  boost::asio::posix::stream_descriptor control_;
  boost::asio::streambuf control_text_;
  boost::asio::steady_timer ticks_;
  std::uint64_t ticked_ = 0;
  std::optional<std::uint64_t> start_step_;  // of the checkpoint that the run goes on from
  std::optional<runtime::Workload> workload_;
  std::optional<runtime::TermJournal> term_;
  std::optional<runtime::JsonLinesWriter> journal_;
  std::optional<run::Recorder> recorder_;
  std::optional<runtime::Coordinator> coordinator_;
  std::unique_ptr<runtime::ControlServer> server_;
  std::unique_ptr<runtime::FileServer> file_server_;
  std::set<std::string> hosts_apart_;  // that do not share the run's folder
  std::unique_ptr<CheckpointPublisher> publisher_;
  std::set<runtime::Connection> connected_;
  std::optional<int> exit_code_;
};

}  // namespace cadre::launch
