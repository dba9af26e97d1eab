/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of EC2, made up after the shapes of the public API descriptions.
 */
#ifndef EC2_FIXTURE_H
#define EC2_FIXTURE_H

#define HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define INSTANCES(inner_)                                          \
	HEAD "<DescribeInstancesResponse "                         \
	     "xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">" \
	     "<requestId>r</requestId><reservationSet>" inner_     \
	     "</reservationSet></DescribeInstancesResponse>"
#define RESERVATION(inner_)                                    \
	"<item><reservationId>r-0a</reservationId>"            \
	"<ownerId>123456789012</ownerId><instancesSet>" inner_ \
	"</instancesSet></item>"
#define INSTANCE(id_) "<item><instanceId>" id_ "</instanceId></item>"
#define RESERVATION_OPEN                                    \
	"<DescribeInstancesResponse><reservationSet><item>" \
	"<instancesSet>"
#define RESERVATION_CLOSE                         \
	"</instancesSet></item></reservationSet>" \
	"</DescribeInstancesResponse>"
#define I1 "i-00000000000000001"
#define I2 "i-00000000000000002"
#define V1 "vol-00000000000000001"
#define S1 "snap-00000000000000001"
#define S2 "snap-00000000000000002"
#define A1 "ami-00000000000000001"
#define ASK "POST Action="
#define EC2 "&Version=2016-11-15"

#endif
