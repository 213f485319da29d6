// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "netrx/devices.h"

namespace netrx {
namespace {

using testing::AllOf;
using testing::HasSubstr;

Error error_of(std::string_view spec) {
  auto device = open_device(spec);
  EXPECT_FALSE(device) << spec << " opened";
  return device ? Error{} : device.error();
}

/// A kind that remembers what it was opened with.
struct Probe {
  std::vector<std::string> seen;

  DeviceKind device() {
    return {.name = "probe",
            .argument = "FILE",
            .summary = "for tests",
            .keys = {{"a", "TEXT", "one"}, {"long-key", "TEXT", "two"}},
            .open =
                [this](DeviceArguments& arguments) {
                  seen.push_back(arguments.argument());
                  seen.push_back(arguments.text("a", "-"));
                  seen.push_back(arguments.text("long-key", "-"));
                  return open_device("lo");
                },
            .wrap = {}};
  }
  DeviceKind middleware(std::string name) {
    return {.name = name,
            .argument = {},
            .summary = "for tests",
            .keys = {{"a", "TEXT", "one"}},
            .open = {},
            .wrap = [this, name](DeviceArguments& arguments,
                                 std::unique_ptr<NetDevice> inner) -> Result<std::unique_ptr<NetDevice>> {
              seen.push_back(name + "=" + arguments.text("a", "-"));
              return inner;
            }};
  }
};

std::vector<std::string> parsed(std::string_view spec) {
  Probe probe;
  DeviceCatalog catalog;
  catalog.add(probe.device());
  catalog.add(probe.middleware("in"));
  catalog.add(probe.middleware("out"));
  const auto device = catalog.open(spec);
  EXPECT_TRUE(device) << device.error().text;
  return probe.seen;
}

using Words = std::vector<std::string>;

TEST(DeviceCatalog, SplitsArgumentAndKeys) {
  EXPECT_EQ(parsed("probe:/tmp/x.pcap"), (Words{"/tmp/x.pcap", "-", "-"}));
  EXPECT_EQ(parsed("probe:x,a=1,long-key=2=3"), (Words{"x", "1", "2=3"}));
  EXPECT_EQ(parsed("probe:x,a="), (Words{"x", "", "-"}));
}

TEST(DeviceCatalog, ACommaBelongsToTheValueUnlessAKeyFollows) {
  EXPECT_EQ(parsed("probe:one, two.pcap,a=p,q,long-key=r"), (Words{"one, two.pcap", "p,q", "r"}));
}

TEST(DeviceCatalog, WrapsFromRightToLeft) {
  EXPECT_EQ(parsed("out:a=2//in//probe:a/b//c"), (Words{"a/b//c", "-", "-", "in=-", "out=2"}));
  EXPECT_EQ(parsed("out:a=x/y//probe:f"), (Words{"f", "-", "-", "out=x/y"}));
}

TEST(DeviceCatalog, NamesUnknownKindsAndWhatIsMeant) {
  EXPECT_EQ(error_of("gne:flows=1").code, ENODEV);
  EXPECT_THAT(error_of("gne:flows=1").text,
              AllOf(HasSubstr("\"gne\""), HasSubstr("lo"), HasSubstr("did you mean gen?")));
  EXPECT_THAT(error_of("loop").text, HasSubstr("did you mean lo?"));
  EXPECT_THAT(error_of("eth0").text, testing::Not(HasSubstr("mean")));
  EXPECT_THAT(error_of("").text, HasSubstr("gen:flows=16"));
  EXPECT_THAT(error_of(":x").text, HasSubstr("no device named"));
  EXPECT_THAT(error_of("fault:loss=1//nothing:x").text, HasSubstr("\"nothing\""));
}

TEST(DeviceCatalog, NamesUnknownKeysAndWhatIsMeant) {
  EXPECT_EQ(error_of("gen:flos=1").code, EINVAL);
  EXPECT_THAT(error_of("gen:flos=1").text, AllOf(HasSubstr("\"flos\""), HasSubstr("did you mean flows?")));
  EXPECT_THAT(error_of("gen:flows=1,sede=2").text, HasSubstr("did you mean seed?"));
  EXPECT_THAT(error_of("gen:64").text, HasSubstr("no key \"64\""));
  EXPECT_THAT(error_of("gen:flows").text, HasSubstr("flows has no value"));
  EXPECT_THAT(error_of("gen:seed=1,seed=2").text, HasSubstr("given twice"));
}

TEST(DeviceCatalog, MiddlewareNeedsADevice) {
  EXPECT_THAT(error_of("fault:loss=1%").text, AllOf(HasSubstr("wraps no device"), HasSubstr("//")));
  EXPECT_THAT(error_of("fault//").text, HasSubstr("no device named"));
}

TEST(DeviceCatalog, NamesTheValueAndTheRemedy) {
  EXPECT_THAT(error_of("gen:flows=x").text, AllOf(HasSubstr("gen: flows=x"), HasSubstr("give 1 to 1048576")));
  EXPECT_EQ(error_of("gen:flows=0").code, ERANGE);
  EXPECT_EQ(error_of("gen:flows=9999999").code, ERANGE);
  EXPECT_THAT(error_of("gen:queues=0").text, HasSubstr("1 to 256"));
  EXPECT_THAT(error_of("gen:rate=fast").text, HasSubstr("rate=fast"));
  EXPECT_THAT(error_of("gen:rate=recorded").text, HasSubstr("rate=recorded"));
  EXPECT_THAT(error_of("gen:size=1500-64").text, HasSubstr("64-1500"));
  EXPECT_THAT(error_of("gen:size=20").text, HasSubstr("60"));
  EXPECT_THAT(error_of("gen:proto=sctp").text, HasSubstr("udp, tcp, mix"));
  EXPECT_THAT(error_of("gen:rxhash=yes").text, HasSubstr("on or off"));
  EXPECT_THAT(error_of("gen:time=5").text, HasSubstr("unit"));
  EXPECT_THAT(error_of("gen:vlan=4095").text, HasSubstr("4094"));
  EXPECT_THAT(error_of("gen:name=a/b").text, HasSubstr("15"));
  EXPECT_THAT(error_of("gen:name=sixteen-letters!").text, HasSubstr("15"));
  EXPECT_THAT(error_of("fault:loss=101%//lo").text, HasSubstr("100%"));
  EXPECT_THAT(error_of("fault:delayed=1%//lo").text, HasSubstr("delay=DURATION"));
  EXPECT_EQ(error_of("trace:file=/nowhere/x//lo").code, ENOENT);
}

TEST(DeviceCatalog, HelpNamesEveryKindAndKey) {
  const DeviceCatalog catalog = DeviceCatalog::builtin();
  const std::string help = catalog.help();
  for (const DeviceKind& kind : catalog.kinds()) {
    EXPECT_THAT(help, HasSubstr("  " + kind.name));
    for (const DeviceKey& key : kind.keys) EXPECT_THAT(help, HasSubstr(" " + key.name + "=" + key.values));
  }
}

TEST(DeviceCatalog, EveryKeyOfEveryKindIsReadByIt) {
  // A key that help() promises and the factory forgets would accept anything.
  const DeviceCatalog catalog = DeviceCatalog::builtin();
  for (const DeviceKind& kind : catalog.kinds())
    for (const DeviceKey& key : kind.keys) {
      const std::string spec = kind.name + ":" + (kind.argument.empty() ? "" : "nowhere0,") + key.name +
                               "=/no such/value" + (kind.is_middleware() ? "//lo" : "");
      const auto device = catalog.open(spec);
      ASSERT_FALSE(device) << spec;
      EXPECT_THAT(device.error().text, HasSubstr(kind.name == "trace" ? "no such/value" : key.name + "=")) << spec;
    }
}

TEST(DeviceCatalog, OpensSinksOfKindsThatSend) {
  const DeviceCatalog catalog = DeviceCatalog::builtin();
  const auto text = [&](const char* spec) { return catalog.open_sink(spec, 2).error().text; };
  EXPECT_THAT(text("gen:count=1"), HasSubstr("gen can't be sent to; these can: vhost-user, tap, tun, af_packet"));
  EXPECT_THAT(text("tpa:x"), HasSubstr("did you mean tap?"));
  EXPECT_THAT(text("tap:x,queues=0"), HasSubstr("queues=0: out of range; give 1 to 256"));
  EXPECT_THAT(text("tap"), HasSubstr("no INTERFACE"));
}

TEST(DeviceCatalog, ALaterKindReplacesItsNamesake) {
  Probe probe;
  DeviceCatalog catalog = DeviceCatalog::builtin();
  DeviceKind mine = probe.device();
  mine.name = "gen";
  catalog.add(std::move(mine));
  EXPECT_TRUE(catalog.open("gen:file"));
  EXPECT_EQ(probe.seen.at(0), "file");
}

DeviceArguments arguments(std::string value) { return {"kind", "", {{"key", std::move(value)}}}; }

TEST(DeviceArguments, Numbers) {
  EXPECT_EQ(arguments("0").number("key", 5, 0, 9), 0u);
  EXPECT_EQ(arguments("10k").number("key", 5, 0, 1 << 20), 10'000u);
  EXPECT_EQ(arguments("1.5M").number("key", 5, 0, 1 << 30), 1'500'000u);
  EXPECT_EQ(arguments("18446744073709551615").number("key", 5, 0, ~std::uint64_t{0}), ~std::uint64_t{0});
  EXPECT_EQ(arguments("7").number("other", 5, 0, 9), 5u);
  for (const char* bad : {"", "k", "-1", "1.5", "0x10", "1 ", " 1", "+1", "18446744073709551616",
                          "99999999999999999999G", ".5", "5.", "1e3", "1.0000000001"}) {
    DeviceArguments given = arguments(bad);
    EXPECT_EQ(given.number("key", 5, 0, ~std::uint64_t{0}), 5u) << bad;
    EXPECT_TRUE(given.error()) << bad;
  }
}

TEST(DeviceArguments, ThousandthsSharesAndDurations) {
  EXPECT_EQ(arguments("1.25").thousandths("key", 0, 0, 9000), 1250u);
  EXPECT_EQ(arguments("0").thousandths("key", 7, 0, 9000), 0u);
  EXPECT_EQ(arguments("1.2345").thousandths("key", 7, 0, 9000), 7u);
  EXPECT_EQ(arguments("1000").ppm("key", 0), 1000u);
  EXPECT_EQ(arguments("0.5%").ppm("key", 0), 5000u);
  EXPECT_EQ(arguments("100%").ppm("key", 0), 1'000'000u);
  EXPECT_EQ(arguments("0.00001%").ppm("key", 3), 3u) << "less than one in a million";
  EXPECT_EQ(arguments("1.5ms").duration("key", Nanos{0}, Nanos{0}, kNever), std::chrono::microseconds(1500));
  EXPECT_EQ(arguments("2s").duration("key", Nanos{0}, Nanos{0}, kNever), std::chrono::seconds(2));
  EXPECT_EQ(arguments("2").duration("key", Nanos{1}, Nanos{0}, kNever), Nanos{1});
}

TEST(DeviceArguments, KeepTheFirstComplaint) {
  DeviceArguments given("kind", "", {{"a", "x"}, {"b", "y"}});
  given.number("a", 0, 0, 1);
  given.number("b", 0, 0, 1);
  EXPECT_THAT(given.error()->text, HasSubstr("a=x"));
}

}  // namespace
}  // namespace netrx
